"""IC-MoE: experts beside a frozen backbone, and the vote that joins them.

After "IC-MoE: intelligent communication mixture-of-experts" (arXiv 2510.17684), of which we follow
the ideas that its abstract names. One idea a module:

``tuning``         a basic expert that follows the training data, by low-rank updates
``semantic``       an expert that looks features up in learned prototypes
``adaptive``       experts with different receptive fields, chosen for each pixel
``communication``  what the experts tell each other before they vote
``voting``         pixel probability adaptive voting
``familiarity``    how much a picture is like those that the experts were trained on
``mixture``        all of it together, beside the frozen path
"""
