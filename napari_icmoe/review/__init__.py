"""Review: outlines propagated, looked at, accepted, measured and approved.

``marks``           what was done on each slice, and the states that follow; ``locks``
``propagating``     the core's propagation on the engine's thread; ``ordering``, of what is chosen
``proposal_layer``  what it proposes, drawn
``reviewing``       what a person decides, and where to look next
``maps``            how sure the model is: ``explaining``, ``map_layers``
``measures``        how much there is of each class: ``counting``, ``slice_counts``
"""
