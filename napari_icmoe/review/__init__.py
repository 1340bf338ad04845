"""Review: outlines propagated, looked at, accepted, measured and approved.

``marks``           what was done on each slice, and the states that follow; ``locks``
``propagating``     the core's propagation on the engine's thread; its ``runs``, what each has found
``orders``          what is to be propagated, and from where; ``ordering``, as the user chose it
``rejections``      what is not proposed again
``proposal_layer``  what it proposes, drawn
``reviewing``       what a person decides, and where to look next
``maps``            how sure the model is: ``explaining``, ``map_layers``
``measures``        how much there is of each class: ``counting``, ``slice_counts``
"""
