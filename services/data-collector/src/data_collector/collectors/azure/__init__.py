"""The provider `azure`: one subscription through Azure Monitor and Resource Graph."""

from data_collector.collectors.azure.plugin import AzureProvider

provider = AzureProvider()

__all__ = ["AzureProvider", "provider"]
