"""Augmentation: random changes of a whole batch of images at once, on its device."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from tenfold.config.network_params import NetworkParams

Augment = Callable[[Tensor], Tensor]

_REFERENCE_SIDE = 28
_PIXELS_PER_BEND = 5
_ERASED_SIDE = (0.15, 0.4)
_BACKGROUND_ROWS = 2000


def leave_alone(rows: Tensor) -> Tensor:
    """Return the rows as they are."""
    return rows


def make_augment(
    params: NetworkParams, rows: Tensor, image_shape: tuple[int, int], *, seed: int
) -> Augment:
    """Return the augmentation that a recipe asks for; `leave_alone` where it asks for none.

    Args:
        params: The recipe.
        rows: ``(n, height * width)`` uint8 training rows; their borders tell the background.
        image_shape: Height and width.
        seed: Seed of the augmentation's own generator.
    """
    augmenter = Augmenter(params, image_shape, background=background_of(rows, image_shape))
    augmenter.generator.manual_seed(seed)
    return augmenter if augmenter.changes else leave_alone


def background_of(rows: Tensor, image_shape: tuple[int, int]) -> int:
    """Return the median of the border pixels of the first rows, 0 to 255.

    Args:
        rows: ``(n, height * width)`` uint8.
        image_shape: Height and width.
    """
    pictures = rows[:_BACKGROUND_ROWS].view(-1, *image_shape)
    border = torch.cat([pictures[:, [0, -1]].flatten(), pictures[:, :, [0, -1]].flatten()])
    return int(border.cpu().median())


class Augmenter:
    """Changes each batch of images by new random numbers.

    What moves pixels (turn, stretch, slant, bend and shift) is one map of coordinates and one
    bilinear look-up; a shift alone copies whole pixels. Random numbers are drawn on the
    processor, so that every device sees the same ones.

    Args:
        params: How far each change goes.
        image_shape: Height and width.
        background: What is seen beyond the border, 0 to 255.

    Attributes:
        generator: Source of all its random numbers; its state can be stored and restored.
    """

    def __init__(
        self, params: NetworkParams, image_shape: tuple[int, int], *, background: int = 0
    ) -> None:
        self.params = params
        self.image_shape = image_shape
        self.background = background
        self.generator = torch.Generator()
        proportion = min(image_shape) / _REFERENCE_SIDE
        self.shift = math.floor(params.shift_px * proportion + 0.5)
        self.bend = params.elastic * proportion

    @property
    def changes(self) -> bool:
        """Whether it does anything."""
        recipe = self.params
        return bool(self.shift or recipe.flip or recipe.erase or recipe.stroke or self._warps)

    def __call__(self, rows: Tensor) -> Tensor:
        """Return changed images.

        Args:
            rows: ``(n, height * width)`` uint8; never modified.

        Returns:
            The same shape and range; uint8 or, where pixels were mixed, float32.
        """
        pictures = rows.view(-1, *self.image_shape)
        if self.params.flip:
            pictures = self._flipped(pictures)
        if self._warps:
            pictures = self._warped(pictures)
        elif self.shift:
            pictures = self._shifted(pictures)
        if self.params.stroke:
            pictures = self._with_other_strokes(pictures)
        if self.params.erase:
            pictures = self._erased(pictures)
        return pictures.reshape(len(rows), -1)

    @property
    def _warps(self) -> bool:
        """Whether pixels move by more than whole shifts."""
        recipe = self.params
        return bool(recipe.rotate_deg or recipe.scale or recipe.shear or self.bend)

    def _random(self, *shape: int) -> Tensor:
        """Return numbers spread evenly over -1 to 1."""
        return 2 * torch.rand(shape, generator=self.generator) - 1

    def _flipped(self, pictures: Tensor) -> Tensor:
        """Return pictures, half of them mirrored left to right."""
        mirrored = torch.rand((len(pictures), 1, 1), generator=self.generator) < 0.5
        return torch.where(mirrored.to(pictures.device), pictures.flip(2), pictures)

    def _shifted(self, pictures: Tensor) -> Tensor:
        """Return pictures moved by whole pixels."""
        height, width = self.image_shape
        far = self.shift
        moves = torch.randint(0, 2 * far + 1, (2, len(pictures)), generator=self.generator)
        down, right = moves.to(pictures.device)
        padded = functional.pad(pictures, (far, far, far, far), value=self.background)
        windows = padded.unfold(1, height, 1).unfold(2, width, 1)
        return windows[torch.arange(len(pictures), device=pictures.device), down, right]

    def _warped(self, pictures: Tensor) -> Tensor:
        """Return pictures looked up at mapped coordinates, bilinear."""
        height, width = self.image_shape
        matrices, moves = self._maps(len(pictures))
        rows = torch.arange(height, dtype=torch.float32) - (height - 1) / 2
        columns = torch.arange(width, dtype=torch.float32) - (width - 1) / 2
        places = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
        device = pictures.device
        seen = places.to(device).view(1, -1, 2) @ matrices.to(device) + moves.to(device)
        seen = seen.view(-1, height, width, 2)
        if self.bend:
            seen = seen + self._bends(len(pictures)).to(device)
        grid = seen * torch.tensor([2 / width, 2 / height], device=device)
        above = pictures.unsqueeze(1).to(torch.float32) - self.background
        found = functional.grid_sample(above, grid, align_corners=False)
        return found.squeeze(1) + self.background

    def _maps(self, n: int) -> tuple[Tensor, Tensor]:
        """Return ``(n, 2, 2)`` matrices and ``(n, 1, 2)`` shifts from new places to old ones."""
        recipe = self.params
        turn = self._random(n) * math.radians(recipe.rotate_deg)
        stretch = 1 / (1 + recipe.scale * self._random(n, 2))
        slant = recipe.shear * self._random(n)
        cosine, sine = turn.cos(), turn.sin()
        turned = torch.stack([cosine, sine, -sine, cosine], dim=-1).view(n, 2, 2)
        slanted = torch.eye(2).repeat(n, 1, 1)
        slanted[:, 1, 0] = slant
        return (slanted @ turned) * stretch.view(n, 1, 2), self.shift * self._random(n, 1, 2)

    def _bends(self, n: int) -> Tensor:
        """Return ``(n, height, width, 2)`` smooth displacements in pixels (Simard et al. 2003)."""
        height, width = self.image_shape
        knots = (2 + height // _PIXELS_PER_BEND, 2 + width // _PIXELS_PER_BEND)
        noise = torch.randn((n, 2, *knots), generator=self.generator) * self.bend
        smooth = functional.interpolate(
            noise, size=(height, width), mode="bicubic", align_corners=False
        )
        return smooth.permute(0, 2, 3, 1)

    def _with_other_strokes(self, pictures: Tensor) -> Tensor:
        """Return pictures mixed with the brightest or the darkest of each pixel's neighbours."""
        values = pictures.unsqueeze(1).to(torch.float32)
        amounts = (self.params.stroke * self._random(len(pictures), 1, 1, 1)).to(values.device)
        brightest = functional.max_pool2d(values, 3, stride=1, padding=1)
        darkest = -functional.max_pool2d(-values, 3, stride=1, padding=1)
        mixed = torch.where(
            amounts > 0,
            torch.lerp(values, brightest, amounts),
            torch.lerp(values, darkest, -amounts),
        )
        return mixed.squeeze(1)

    def _erased(self, pictures: Tensor) -> Tensor:
        """Return pictures, some with a rectangle of background (Zhong et al. 2020)."""
        n = len(pictures)
        hit = torch.rand(n, generator=self.generator) < self.params.erase
        blanks = hit.view(n, 1, 1).expand(n, *self.image_shape)
        for axis, side in enumerate(self.image_shape, start=1):
            low, high = _ERASED_SIDE
            extents = side * (low + (high - low) * torch.rand(n, generator=self.generator))
            centres = side * torch.rand(n, generator=self.generator)
            places = torch.arange(side, dtype=torch.float32) + 0.5
            inside = (places - centres[:, None]).abs() <= extents[:, None] / 2
            blanks = blanks & inside.unsqueeze(3 - axis)
        return pictures.masked_fill(blanks.to(pictures.device), self.background)
