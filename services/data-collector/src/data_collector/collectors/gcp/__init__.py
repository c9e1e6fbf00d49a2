"""The provider `gcp`: Cloud Monitoring, Compute Engine and Cloud Asset Inventory."""

from data_collector.collectors.gcp.plugin import GcpProvider

provider = GcpProvider()

__all__ = ["GcpProvider", "provider"]
