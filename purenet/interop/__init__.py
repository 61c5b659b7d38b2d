"""Functions of JAX as layers and losses (`from_jax`), and steps that PyTorch compiles (`torch_compile`). Nets that go
elsewhere: to ONNX, as a model (`to_onnx`); and their weights to PyTorch and back, which is the rest.

In a state dict of PyTorch the layers of a `serial` have the names of an `nn.Sequential`: `0.weight` belongs to the
first one. A net must have a module for each of its layers, those without parameters too, so that the numbers agree.
Layers of `parallel` and `fan_out` have numbers too, as in an `nn.ModuleList`; those of `named` their names. `residual`,
`frozen`, `remat` and `map_time` add nothing to the names of the layer that they hold: their counterparts are subclasses
of its module.

What computes the same, with its weights; options that are not named have the same name and meaning there:

    dense                           nn.Linear
    conv, conv_transpose            nn.Conv1d, 2d, 3d and nn.ConvTranspose1d, 2d, 3d, on channels first
    batch_norm                      nn.BatchNorm1d, 2d, 3d, with their running statistics
    layer_norm, rms_norm            nn.LayerNorm, nn.RMSNorm, over one axis
    group_norm, instance_norm       nn.GroupNorm, nn.InstanceNorm1d, 2d, 3d (without running statistics)
    embedding, learned_positions    nn.Embedding, of the ids or of the positions 0, 1, …
    prelu                           nn.PReLU
    rnn, lstm, gru                  nn.RNN, nn.LSTM, nn.GRU, batch_first; with reverse=True on x.flip(1)
    bidirectional                   the same of one layer, bidirectional=True
    stacked                         the same with num_layers, of layers or of bidirectionals of one kind and size
    multi_head_attention            nn.MultiheadAttention, batch_first; with causal=True, with that attn_mask
    transformer_block               nn.TransformerEncoderLayer, batch_first, whose norm_first=True is norm="pre", and
                                    activation="gelu" is gelu; with causal=True, with that src_mask
    transformer_decoder_block       nn.TransformerDecoderLayer likewise, with the causal tgt_mask
    flatten                         nn.Flatten: where it comes after a convolution, it gives the numbers there in the
                                    order (channels, positions), and the weights of the dense layer after it follow

`reshape` has no such help: in PyTorch, write a permute to channels last before it, and back after it.
"""

from purenet.interop.compiled import torch_compile
from purenet.interop.functions import from_jax
from purenet.interop.onnx import to_onnx
from purenet.interop.state_dict import from_torch_state_dict, to_torch_state_dict

__all__ = ["from_jax", "from_torch_state_dict", "to_onnx", "to_torch_state_dict", "torch_compile"]
