"""Between napari's world (µm, row before column) and a slide's level-0 pixels (x before y).

This is the only place where x, y become row, column. napari's whole numbers are the middles of
pixels; ours are their top-left corners: half a pixel lies between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer

    Points = npt.NDArray[np.float64] | Sequence[Sequence[float]]

_HALF = 0.5


class Frame:
    """Conversions for one slide's image layer, which may be moved, turned and scaled.

    Parameters
    ----------
    layer : napari.layers.Image
        Of a slide; its data's first level is level 0.
    """

    def __init__(self, layer: Layer) -> None:
        self._layer = layer

    def to_slide(self, world: Points) -> npt.NDArray[np.float64]:
        """Level-0 x, y of places in the world.

        Parameters
        ----------
        world : array, shape (n, 2)
            Rows and columns in the world's units; further leading axes are left out.

        Returns
        -------
        float64 array, shape (n, 2)
        """
        places = np.asarray(world, np.float64).reshape(-1, np.shape(world)[-1])[:, -2:]
        rows_columns = np.array([self._layer.world_to_data(place) for place in places])
        return rows_columns.reshape(-1, 2)[:, ::-1] + _HALF

    def to_world(self, xy: Points) -> npt.NDArray[np.float64]:
        """Rows and columns in the world of level-0 x, y; shapes (n, 2)."""
        rows_columns = np.asarray(xy, np.float64).reshape(-1, 2)[:, ::-1] - _HALF
        found = [self._layer.data_to_world(place) for place in rows_columns]
        return np.array(found, np.float64).reshape(-1, 2)

    def corners(self, x: float, y: float, width: float, height: float) -> npt.NDArray[np.float64]:
        """The world's rows and columns of a rectangle's corners, shape (4, 2)."""
        right, bottom = x + width, y + height
        return self.to_world([(x, y), (right, y), (right, bottom), (x, bottom)])

    def layer_arguments(self) -> dict[str, object]:
        """``scale``, ``units`` and so on for a layer whose data are in this slide's pixels.

        Data of such a layer are rows and columns as `to_rows_columns` gives them.
        """
        layer = self._layer
        return {
            "scale": tuple(layer.scale),
            "translate": tuple(layer.translate),
            "rotate": layer.rotate,
            "shear": layer.shear,
            "units": layer.units,
        }

    @staticmethod
    def to_rows_columns(xy: Points) -> npt.NDArray[np.float64]:
        """Level-0 x, y as the rows and columns of napari's data; shapes (n, 2)."""
        return np.asarray(xy, np.float64).reshape(-1, 2)[:, ::-1] - _HALF

    @staticmethod
    def from_rows_columns(rows_columns: Points) -> npt.NDArray[np.float64]:
        """Rows and columns of napari's data as level-0 x, y; shapes (n, 2)."""
        return np.asarray(rows_columns, np.float64)[:, -2:].reshape(-1, 2)[:, ::-1] + _HALF
