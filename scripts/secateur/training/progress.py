"""The progress messages of a training."""

from __future__ import annotations

import time
from typing import IO, Any

import keras
from tqdm import tqdm


class Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """A progress bar on a terminal; elsewhere one plain line per epoch.

    Args:
        step: `train` or `retrain`.
        epochs: total number.
        images: per training epoch.
        batch_size: images per batch.
        stream: receives the text.
        epoch: number of finished epochs.

    Attributes:
        first_batch: the batch of the epoch with which the next piece begins.
    """

    def __init__(self, step: str, epochs: int, images: int, batch_size: int, stream: IO[str], epoch: int = 0) -> None:
        super().__init__()
        self.step, self.epochs, self.images, self.stream = step, epochs, images, stream
        self.batch_size, self.first_batch = batch_size, 0
        self.epoch, self.first_epoch = epoch, epoch
        self.started = time.monotonic()
        self.bar: Any = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Open the bar."""
        self.epoch = epoch
        if self.stream.isatty():
            label = f"{self.step} {epoch + 1}/{self.epochs}"
            done = self.first_batch * self.batch_size
            self.bar = tqdm(total=self.images, initial=done, desc=label, unit="img", file=self.stream, leave=False)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Move the bar."""
        if self.bar is not None:
            self.bar.set_postfix(loss=f"{logs['loss']:.3f}", accuracy=f"{logs['accuracy']:.3f}", refresh=False)
            self.bar.update(min(self.batch_size, self.images - self.bar.n))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def report(self, row: dict[str, float], seconds: float, images: int) -> None:
        """One line for a finished epoch with its validation; training on `images` took `seconds`."""
        done = self.epoch + 1
        rate = (time.monotonic() - self.started) / (done - self.first_epoch)
        validation = f"  val_accuracy {row['val_accuracy']:.4f}" if row.get("val_accuracy") is not None else ""
        print(
            f"{self.step}  epoch {done}/{self.epochs}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}"
            f"{validation}  {images / max(seconds, 1e-9):.0f} images/s  ETA {clock(rate * (self.epochs - done))}",
            file=self.stream,
            flush=True,
        )


def clock(seconds: float) -> str:
    """`h:mm:ss`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
