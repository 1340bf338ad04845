"""Learning: fine-tuning on what was approved, in a process of its own, and the versions it makes.

``sources``           what there is to learn from; ``holding_out``, which of it only measures
``handover``          the approved slices as files for the process; ``job_folders``, where they lie
``child``             the process; ``messages``, what it and the window tell each other
``training_process``  the same, as the window sees it
``trainer``           one training, from Start to its card
``budgets``           how long it may take; ``time_left``, how long it will
``curves``            what it reports, to be drawn; ``outlines``, the slices that are answered worst
``versions``          what comes of trainings, switched on and off; ``version_store``, on the disk
``remembering``       the version that was on last is on again; ``last_used``, on the disk
"""
