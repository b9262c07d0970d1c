"""A page to look at: answers as one HTML file that needs no network, and re-prices in the browser.

Python gathers data and embeds it; page.html, the style and the scripts beside this module do the rest. The scripts
apply the memory model's laws to the same coefficients, so that the page answers without Python.
"""
