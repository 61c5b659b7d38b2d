"""All steps of an lstm by oneDNN, which is what PyTorch's own LSTM runs on a CPU in float32."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from purenet.engine.recurrence import RecurrenceOps

# what oneDNN's functions are told: their arguments have no names in Python
LSTM, ONE_LAYER, HAS_BIASES = 2, 1, True  # the cell by its number in PyTorch's `rnn_cell_mode`
NOT_REVERSED, NOT_BIDIRECTIONAL, NOT_BATCH_FIRST, OF_ONE_LENGTH = False, False, False, ()
TRAINING = True


class TorchRecurrenceOps(RecurrenceOps):
    if TYPE_CHECKING:
        runs_here: Callable[..., bool]

    def lstm_steps(self, plain: Callable[..., Any], params: Any, xs: Any, mask: Any, state: Any, keep: bool) -> Any:
        """Where all sequences are of one length. Gates stand in the same order there, batches before features."""
        if mask is not None or not _is_taken(xs) or not self.runs_here(params, xs, state):
            return plain(self, params, xs, mask, state, keep)
        torch = sys.modules["torch"]
        aten, hidden = torch.ops.aten, state[0].shape[0]
        x, (h, c) = xs.permute(1, 2, 0).contiguous(), (part.T.contiguous() for part in state)
        no_bias = x.new_zeros(4 * hidden)  # of the two that there are, ours is the first
        weights = [params.weight.T.contiguous(), params.recurrent_weight.T.contiguous()]
        weights += [no_bias if params.bias is None else params.bias, no_bias]
        shape = LSTM, hidden, ONE_LAYER, HAS_BIASES
        with torch.set_grad_enabled(keep):  # only then the way back finds what it needs; no graph is made
            y, last_h, last_c, workspace = aten.mkldnn_rnn_layer(
                *(x, *weights, h, c, NOT_REVERSED, OF_ONE_LENGTH, *shape, NOT_BIDIRECTIONAL, NOT_BATCH_FIRST, keep)
            )

        def back(dhs: Any, dstate: Any, wrt_x: bool) -> Any:
            dy = x.new_zeros(y.shape) if dhs is None else dhs.permute(0, 2, 1).contiguous()
            given = dy, *(part.T.contiguous() for part in dstate)
            dx, dweight, drecurrent, dbias, _, dh, dc = aten.mkldnn_rnn_layer_backward(
                *(x, *weights, h, c, y, last_h, last_c, *given, NOT_REVERSED, *shape, TRAINING, NOT_BIDIRECTIONAL),
                *(OF_ONE_LENGTH, NOT_BATCH_FIRST, workspace),
            )
            turned = (each.T.contiguous() for each in (dweight, drecurrent))  # as the params lie
            dparams = type(params)(*turned, None if params.bias is None else dbias)
            return dparams, dx.permute(2, 0, 1) if wrt_x else None, (dh.T, dc.T)

        return y.permute(0, 2, 1), (last_h.T, last_c.T), back


def _is_taken(xs: Any) -> bool:
    """Whether oneDNN is there and takes these numbers. In inference mode it keeps nothing for the way back, and
    autocast would change the dtype."""
    torch = sys.modules["torch"]
    if not torch.backends.mkldnn.is_available() or xs.dtype is not torch.float32 or not xs.numel():
        return False
    return not (torch.is_inference_mode_enabled() or xs.is_inference() or torch.is_autocast_enabled("cpu"))
