"""Propagation: from outlined slices to their neighbours, as proposals for a person to look at.

``seeds``        outlined slices, from which it starts
``chains``       which slice follows from which, and where they end
``carriers``     the outline on one slice, as prompts for the next
``parts``        what of an outline hangs together, and what of an answer with it
``limits``       when to go on with caution, and when to stop
``proposals``    what comes of it, slice by slice
``propagation``  all of it together, a generator
``prompt_files`` prompts on several slices, as JSON
"""
