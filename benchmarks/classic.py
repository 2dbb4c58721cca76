"""What tenfold is held against: plain PyTorch loops, as the classic MNIST example writes them.

    python benchmarks/classic.py yardstick|search|fit SETTINGS

A `DataLoader` without workers over a `Dataset` that makes of each image a PIL picture, of that a
float tensor of 0..1, and normalises it. `networks.py` runs this, and `fits.py` takes networks and
loop from here; settings are a JSON object, and one JSON object is printed.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from harness import Clock, say
from PIL import Image
from rows import Rows, load_rows
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from tenfold.errors import TenfoldError

_EPOCH_STEPS = 938
_TEST_BATCH = 1000


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Args:
        batch_size: Images per step.
        rate: Step size of the first epoch.
        gamma: What the step size is multiplied by after each epoch.
        optimizer: Its class.
        network: Makes the network from height and width and the number of classes.
    """

    batch_size: int
    rate: float
    gamma: float
    optimizer: type[torch.optim.Optimizer]
    network: Callable[[tuple[int, int], int], nn.Module]


def classic_network(shape: tuple[int, int], n_classes: int) -> nn.Module:
    """Return the classic PyTorch network: 1,199,882 parameters for MNIST."""
    height, width = ((side - 4) // 2 for side in shape)
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(64 * height * width, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, n_classes),
        nn.LogSoftmax(dim=1),
    )


def keras_network(shape: tuple[int, int], n_classes: int) -> nn.Module:
    """Return the classic Keras network: 225,034 parameters for MNIST."""
    height, width = (((side - 2) // 2 - 2) // 2 for side in shape)
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * height * width, 128),
        nn.ReLU(),
        nn.Linear(128, n_classes),
        nn.LogSoftmax(dim=1),
    )


def perceptron(hidden: Sequence[int], shape: tuple[int, int], n_classes: int) -> nn.Module:
    """Return a multi-layer perceptron.

    Args:
        hidden: Units of each hidden layer.
        shape: Height and width.
        n_classes: Outputs.
    """
    widths = [shape[0] * shape[1], *hidden]
    layers = [
        layer
        for width, wider in itertools.pairwise(widths)
        for layer in (nn.Linear(width, wider), nn.ReLU())
    ]
    return nn.Sequential(
        nn.Flatten(), *layers, nn.Linear(widths[-1], n_classes), nn.LogSoftmax(dim=1)
    )


RECIPES = {
    "classic": Recipe(
        batch_size=64,
        rate=1.0,
        gamma=0.7,
        optimizer=torch.optim.Adadelta,
        network=classic_network,
    ),
    "simple_conv_net": Recipe(
        batch_size=32,
        rate=1e-4,
        gamma=1.0,
        optimizer=torch.optim.Adam,
        network=classic_network,
    ),
}


class Pictures(Dataset):
    """Images one by one: array → picture → float tensor of 0..1 → normalised.

    Args:
        images: ``(n, height * width)`` uint8.
        labels: ``(n,)`` class indices.
        shape: Height and width.
    """

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        shape: tuple[int, int],
    ) -> None:
        self.images, self.labels = images.reshape(-1, *shape), labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.images[index])
        pixels = torch.from_numpy(np.array(picture)).unsqueeze(0).to(torch.float32).div(255)
        return pixels.sub_(0.1307).div_(0.3081), int(self.labels[index])


class Lesson:
    """A network in training.

    Args:
        rows: What it learns from and is graded on.
        recipe: How.
        seed: Seed of the weights, the dropout and the order of the images.
        device: Where.
    """

    def __init__(self, rows: Rows, recipe: Recipe, seed: int, device: str) -> None:
        torch.manual_seed(seed)
        shape, n_classes = rows.split.image_shape, len(rows.split.class_names)
        self._rows, self._shape, self._device = rows, shape, torch.device(device)
        self._network = recipe.network(shape, n_classes).to(self._device)
        self._optimizer = recipe.optimizer(self._network.parameters(), lr=recipe.rate)
        self._schedule = torch.optim.lr_scheduler.StepLR(self._optimizer, 1, gamma=recipe.gamma)
        pictures = Pictures(rows.images, rows.labels, shape)
        self._loader = DataLoader(pictures, recipe.batch_size, shuffle=True)

    def epoch(self) -> None:
        """Learn from every image once."""
        self._network.train()
        for images, labels in self._loader:
            self._step(images, labels)
        self._schedule.step()

    def time_steps(self, n_steps: int, warm_up: int) -> float:
        """Return the seconds that some steps take, after some that are not timed."""
        self._network.train()
        batches = iter(self._loader)
        for images, labels in itertools.islice(batches, warm_up):
            self._step(images, labels)
        clock = Clock()
        for images, labels in itertools.islice(batches, n_steps):
            self._step(images, labels)
        return clock.read()["seconds"]

    def _step(self, images: Tensor, labels: Tensor) -> None:
        images, labels = images.to(self._device), labels.to(self._device)
        self._optimizer.zero_grad()
        loss = functional.nll_loss(self._network(images), labels)
        loss.backward()
        self._optimizer.step()

    @torch.no_grad()
    def predict(self) -> npt.NDArray[np.int64]:
        """Return the class indices of the held images."""
        self._network.eval()
        held = self._rows.held_images
        pictures = Pictures(held, np.zeros(len(held), dtype=np.int64), self._shape)
        said = [
            self._network(images.to(self._device)).argmax(dim=1).cpu()
            for images, _ in DataLoader(pictures, _TEST_BATCH)
        ]
        return torch.cat(said).numpy()


def yardstick(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Time ``steps`` steps of the classic recipe; return the seconds of 938, an epoch of MNIST."""
    rows = load_rows(spec)
    lesson = Lesson(rows, RECIPES["classic"], seed=0, device=spec["device"])
    seconds = lesson.time_steps(spec["steps"], warm_up=spec["warm_up"])
    return {"epoch_s": seconds / spec["steps"] * _EPOCH_STEPS}


def search(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Train until the validation rows' accuracy reaches ``goal``; return after how many epochs.

    The rate of an epoch does not depend on how many follow, so one training tries them all.
    ``epochs`` is None where ``most_epochs`` were not enough.
    """
    rows = load_rows(spec)
    lesson = Lesson(rows, RECIPES[spec["recipe"]], spec["seed"], spec["device"])
    tried = []
    for epoch in range(1, spec["most_epochs"] + 1):
        lesson.epoch()
        accuracy = rows.grade(lesson.predict(), spec)["accuracy"]
        say(f"  epoch {epoch}: validation accuracy {accuracy:.4f}")
        tried.append({"epochs": epoch, "accuracy": accuracy})
        if accuracy >= spec["goal"]:
            return {"epochs": epoch, "tried": tried}
    return {"epochs": None, "tried": tried}


def fit(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Train ``epochs`` epochs and grade once.

    With ``epochs_timed`` only so many are trained, the times are those of all in proportion, and
    nothing is graded.
    """
    rows = load_rows(spec)
    timed = spec.get("epochs_timed")
    n_epochs = timed or spec["epochs"]
    clock = Clock()
    lesson = Lesson(rows, RECIPES[spec["recipe"]], spec["seed"], spec["device"])
    for epoch in range(1, n_epochs + 1):
        lesson.epoch()
        say(f"  epoch {epoch} of {spec['epochs']}, {clock.read()['seconds']:.1f} s")
    times = {name: value * spec["epochs"] / n_epochs for name, value in clock.read().items()}
    result = {"epochs": spec["epochs"], **times}
    if timed:
        return {**result, "epochs_timed": n_epochs}
    return {**result, **rows.grade(lesson.predict(), spec)}


def main(job: str, settings: str) -> int:
    """Do a job and print what came of it."""
    spec = json.loads(settings)
    torch.set_num_threads(spec["threads"])
    try:
        result = {"yardstick": yardstick, "search": search, "fit": fit}[job](spec)
    except TenfoldError as error:
        say(str(error))
        return error.exit_code
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
