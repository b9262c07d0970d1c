"""The catalogue: what is published of SAM 2's variants and of GPUs."""

from planner.catalog.variants import Catalog, Quality, Shape, load_catalog

__all__ = ["Catalog", "Quality", "Shape", "load_catalog"]
