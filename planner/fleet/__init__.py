"""Many inputs on the machines of a Ray cluster: Ray places the workers and starts lost ones again, runs do the work.

Needs the extra `ray`. Nothing here is imported for a plan or a run on this machine.
"""
