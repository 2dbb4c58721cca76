"""The networks: small modules from uint8 pixels to logits, built by name."""

from tenfold.models.torch.networks.catalog import NETWORKS, NetworkSpec, build_network
from tenfold.models.torch.networks.principal import PrincipalComponents, fit_components

__all__ = [
    "NETWORKS",
    "NetworkSpec",
    "PrincipalComponents",
    "build_network",
    "fit_components",
]
