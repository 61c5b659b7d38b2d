"""Pictures, with the extra `plot`: each function draws on the axes it is given, or on new ones, and returns the figure.

Nothing here shows a window or touches pyplot, so all works without a screen too: save what you get with
`figure.savefig("picture.png")`. Several plots share a figure when you hand in its axes.
"""

from purenet.plotting.animation import boundary_animation
from purenet.plotting.boundary import decision_boundary, overview, surface
from purenet.plotting.canvas import is_available
from purenet.plotting.curves import error_curve, learning_curves
from purenet.plotting.layers import gradient_flow, gradient_histograms, weight_histograms
from purenet.plotting.matrices import confusion_matrix, image_grid

__all__ = [
    "boundary_animation",
    "confusion_matrix",
    "decision_boundary",
    "error_curve",
    "gradient_flow",
    "gradient_histograms",
    "image_grid",
    "is_available",
    "learning_curves",
    "overview",
    "surface",
    "weight_histograms",
]
