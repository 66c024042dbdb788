"""What a workflow is: its files are loaded, checked and hashed here, and nothing of them is ever imported or executed.

`load` reads a folder or a stored version, `inputs` checks what a run is given, `difference` shows what changed
between two versions, `examples` knows the workflows that come with the program.
"""
