"""The one unit contract: what every provider's data is translated into."""

from optiinfra.catalog.metrics import METRICS, Metric, metric_named
from optiinfra.catalog.resources import ResourceStatus, ResourceType
from optiinfra.catalog.units import Unit

__all__ = ["METRICS", "Metric", "ResourceStatus", "ResourceType", "Unit", "metric_named"]
