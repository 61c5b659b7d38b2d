"""What the things that are here are called in Keras, PyTorch, and JAX with Flax and Optax.

The guides show these tables, and the error of a name that is not here tells from them what to write.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

LIBRARIES = {"Keras": "keras.", "PyTorch": "torch.", "JAX": ""}  # and what stands before a name in the table


class Row(NamedTuple):
    """One thing, and what it is called elsewhere.

    Fields:
        section: of the list of all things.
        here: its name in purenet, with options where these make it.
        names: by library its names, without the library's own (`layers.Dense` for keras.layers.Dense, `nn.Linear` for
            torch.nn.Linear); in JAX with it, as `nnx.Linear` and `optax.adam`. () where there is no such thing.
    """

    section: str
    here: str
    names: dict[str, tuple[str, ...]]


def rows() -> list[Row]:
    """All rows, in the order of the README.

    >>> rows()[0].here, rows()[0].names["PyTorch"]
    ('Layer', ('nn.Module',))
    """
    read, section = list[Row](), ""
    for line in TABLE.strip().splitlines():
        if line.startswith("# "):
            section = line[2:]
        elif line:
            here, *cells = map(str.strip, line.split("|"))
            read.append(Row(section, here, {of: (*cell.split(),) for of, cell in zip(LIBRARIES, cells, strict=True)}))
    return read


def tables(library: str) -> str:
    """What is called how in a library and here, in Markdown: a table for each section, then what is only here.

    >>> print("\\n".join(tables("PyTorch").splitlines()[:5]))
    ## The contract
    <BLANKLINE>
    | there | here |
    | --- | --- |
    | `torch.nn.Module` | `pn.Layer` |
    """
    written = []
    for section, group in groupby(rows(), lambda row: row.section):
        lines, only_here = [], []
        for row in group:
            if names := row.names[library]:
                there = ", ".join(f"`{LIBRARIES[library]}{name}`" for name in names)
                lines.append(f"| {there} | `pn.{row.here}` |")
            else:
                only_here.append(f"`pn.{row.here}`")
        table = ["| there | here |", "| --- | --- |", *lines, ""] if lines else []
        rest = [f"Only here: {', '.join(only_here)}.", ""] if only_here else []
        written += [f"## {section}", "", *table, *rest]
    return "\n".join(written)


TABLE = """
# The contract
Layer | layers.Layer | nn.Module | nnx.Module
Loss | losses.Loss | |
Optimizer | optimizers.Optimizer | optim.Optimizer | optax.GradientTransformation
Pullback | | | jax.vjp
LossPullback | | |
Buffer | | nn.Buffer nn.Module.register_buffer | nnx.BatchStat
layer | | autograd.Function | jax.custom_vjp
Spec | layers.InputSpec | |
Ops | ops | |
Array | KerasTensor | Tensor | jax.Array
Key | random.SeedGenerator | Generator | nnx.Rngs
key | utils.set_random_seed | manual_seed | jax.random.key jax.random.PRNGKey
split | | | jax.random.split
preset | | |

# From a net to trained params
value_and_grad | | autograd.grad autograd.backward Tensor.backward | jax.value_and_grad jax.grad nnx.value_and_grad
in_chunks | | | optax.microbatching.microbatch
sgd_step | | |
update | | | optax.apply_updates
summary | Model.summary | | nnx.tabulate
train | Model.train_on_batch | |
start | | |
fit | Model.fit Model.compile | |
fit(..., patience=5) | callbacks.EarlyStopping | |
State | | | nnx.TrainState
Fit | callbacks.History | |
evaluate | Model.evaluate Model.test_on_batch | |
predict | Model.predict Model.predict_on_batch | |
profile | | profiler.profile | jax.profiler.trace
throughput | | |

# Keeping it
save | Model.save Model.save_weights saving.save_model | save |
load | Model.load_weights saving.load_model | load nn.Module.load_state_dict |
to_dict | Model.get_weights | nn.Module.state_dict | nnx.to_pure_dict
from_dict | Model.set_weights | | nnx.replace_by_pure_dict
checkpoints | callbacks.ModelCheckpoint callbacks.BackupAndRestore | |
checkpoint_best | callbacks.ModelCheckpoint(save_best_only=True) | |
csv_log | callbacks.CSVLogger | |
log_to | callbacks.TensorBoard | |
to_torch_state_dict | | |
from_torch_state_dict | | |
to_engine | | Tensor.to nn.Module.to | jax.device_put
to_onnx | Model.export | onnx.export |
from_jax | layers.JaxLayer | |
torch_compile | | compile | jax.jit

# Layers
dense | layers.Dense | nn.Linear nn.LazyLinear | nnx.Linear
serial | Sequential Model | nn.Sequential | nnx.Sequential
flatten | layers.Flatten | nn.Flatten |
reshape | layers.Reshape | nn.Unflatten | jax.numpy.reshape
permute | layers.Permute | permute | jax.numpy.transpose
activation | layers.Activation layers.Lambda | | jax.custom_jvp

# Images, sequences and volumes
conv | layers.Conv1D layers.Conv2D layers.Conv3D | nn.Conv1d nn.Conv2d nn.Conv3d | nnx.Conv
conv(..., groups=...) | layers.DepthwiseConv1D layers.DepthwiseConv2D | nn.Conv2d(groups=...) | nnx.Conv(feature_group_count=...)
conv_transpose | layers.Conv1DTranspose layers.Conv2DTranspose layers.Conv3DTranspose | nn.ConvTranspose1d nn.ConvTranspose2d nn.ConvTranspose3d | nnx.ConvTranspose
max_pool | layers.MaxPooling1D layers.MaxPooling2D layers.MaxPooling3D | nn.MaxPool1d nn.MaxPool2d nn.MaxPool3d | nnx.max_pool
avg_pool | layers.AveragePooling1D layers.AveragePooling2D layers.AveragePooling3D | nn.AvgPool1d nn.AvgPool2d nn.AvgPool3d | nnx.avg_pool
global_avg_pool | layers.GlobalAveragePooling1D layers.GlobalAveragePooling2D layers.GlobalAveragePooling3D | nn.AdaptiveAvgPool1d(1) nn.AdaptiveAvgPool2d(1) nn.AdaptiveAvgPool3d(1) |
global_max_pool | layers.GlobalMaxPooling1D layers.GlobalMaxPooling2D layers.GlobalMaxPooling3D | nn.AdaptiveMaxPool1d(1) nn.AdaptiveMaxPool2d(1) nn.AdaptiveMaxPool3d(1) |
adaptive_avg_pool | layers.AdaptiveAveragePooling1D layers.AdaptiveAveragePooling2D layers.AdaptiveAveragePooling3D | nn.AdaptiveAvgPool1d nn.AdaptiveAvgPool2d nn.AdaptiveAvgPool3d |
adaptive_max_pool | layers.AdaptiveMaxPooling1D layers.AdaptiveMaxPooling2D layers.AdaptiveMaxPooling3D | nn.AdaptiveMaxPool1d nn.AdaptiveMaxPool2d nn.AdaptiveMaxPool3d |
upsample | layers.UpSampling1D layers.UpSampling2D layers.UpSampling3D | nn.Upsample nn.UpsamplingNearest2d nn.UpsamplingBilinear2d | jax.image.resize
pixel_shuffle | ops.depth_to_space | nn.PixelShuffle |
pad | layers.ZeroPadding1D layers.ZeroPadding2D layers.ZeroPadding3D | nn.ZeroPad1d nn.ZeroPad2d nn.ZeroPad3d nn.functional.pad | jax.numpy.pad

# Sequences
rnn | layers.SimpleRNN | nn.RNN | nnx.RNN nnx.SimpleCell
lstm | layers.LSTM | nn.LSTM | nnx.LSTMCell nnx.OptimizedLSTMCell
gru | layers.GRU | nn.GRU | nnx.GRUCell
bidirectional | layers.Bidirectional | nn.LSTM(bidirectional=True) | nnx.Bidirectional
stacked | layers.StackedRNNCells | nn.LSTM(num_layers=...) |
last_step | layers.LSTM(return_sequences=False) | |
lengths_to_mask | layers.Masking | nn.utils.rnn.pack_padded_sequence |
multi_head_attention | layers.MultiHeadAttention layers.GroupQueryAttention layers.Attention | nn.MultiheadAttention | nnx.MultiHeadAttention
transformer_block | | nn.TransformerEncoderLayer nn.TransformerEncoder |
transformer_decoder_block | | nn.TransformerDecoderLayer nn.TransformerDecoder |

# Layers made of layers
named | | |
residual | | |
parallel | | |
fan_out | | |
on_first | | |
keep_rest | | |
pick | | |
swap | | |
frozen | ops.stop_gradient | Tensor.requires_grad_ | jax.lax.stop_gradient
remat | | utils.checkpoint.checkpoint | jax.checkpoint jax.remat nnx.remat
tied | layers.ReversibleEmbedding | |
map_time | layers.TimeDistributed | |

# Merging, embedding, noise
add | layers.Add | add | jax.numpy.add
mul | layers.Multiply | mul | jax.numpy.multiply
concat | layers.Concatenate | cat concat | jax.numpy.concatenate
split_last | ops.split | chunk | jax.numpy.split
embedding | layers.Embedding | nn.Embedding | nnx.Embed
positional_encoding | | |
learned_positions | | |
binary_dense | | |
dropout | layers.Dropout | nn.Dropout | nnx.Dropout
dropout(..., channelwise=True) | layers.SpatialDropout1D layers.SpatialDropout2D layers.SpatialDropout3D | nn.Dropout1d nn.Dropout2d nn.Dropout3d | nnx.Dropout(broadcast_dims=...)
gaussian_noise | layers.GaussianNoise | |

# Normalization
batch_norm | layers.BatchNormalization | nn.BatchNorm1d nn.BatchNorm2d nn.BatchNorm3d | nnx.BatchNorm
layer_norm | layers.LayerNormalization | nn.LayerNorm | nnx.LayerNorm
group_norm | layers.GroupNormalization | nn.GroupNorm | nnx.GroupNorm
instance_norm | layers.GroupNormalization(groups=-1) | nn.InstanceNorm1d nn.InstanceNorm2d nn.InstanceNorm3d | nnx.InstanceNorm
rms_norm | layers.RMSNormalization | nn.RMSNorm | nnx.RMSNorm

# Activations
identity | layers.Identity activations.linear | nn.Identity | jax.nn.identity
tanh | activations.tanh | nn.Tanh | jax.nn.tanh
sigmoid | activations.sigmoid | nn.Sigmoid | jax.nn.sigmoid
relu | layers.ReLU activations.relu | nn.ReLU | jax.nn.relu
leaky_relu | layers.LeakyReLU activations.leaky_relu | nn.LeakyReLU | jax.nn.leaky_relu
prelu | layers.PReLU | nn.PReLU | nnx.PReLU
elu | layers.ELU activations.elu | nn.ELU | jax.nn.elu
selu | activations.selu | nn.SELU | jax.nn.selu
celu | activations.celu | nn.CELU | jax.nn.celu
gelu | activations.gelu | nn.GELU | jax.nn.gelu(approximate=False)
gelu_tanh | activations.gelu(approximate=True) | nn.GELU(approximate="tanh") | jax.nn.gelu
silu | activations.silu activations.swish | nn.SiLU | jax.nn.silu jax.nn.swish
mish | activations.mish | nn.Mish | jax.nn.mish
softplus | activations.softplus | nn.Softplus | jax.nn.softplus
softsign | activations.softsign | nn.Softsign | jax.nn.soft_sign
hard_tanh | activations.hard_tanh | nn.Hardtanh | jax.nn.hard_tanh
hard_sigmoid | activations.hard_sigmoid | nn.Hardsigmoid | jax.nn.hard_sigmoid
hard_swish | activations.hard_swish activations.hard_silu | nn.Hardswish | jax.nn.hard_swish jax.nn.hard_silu
relu6 | activations.relu6 | nn.ReLU6 | jax.nn.relu6
log_sigmoid | activations.log_sigmoid | nn.LogSigmoid | jax.nn.log_sigmoid
softmax | layers.Softmax activations.softmax | nn.Softmax | jax.nn.softmax
log_softmax | activations.log_softmax | nn.LogSoftmax | jax.nn.log_softmax
glu | activations.glu | nn.GLU | jax.nn.glu
swiglu | | |

# Losses
loss | | |
mse | losses.MeanSquaredError | nn.MSELoss | optax.squared_error
sse | | nn.MSELoss(reduction="sum") |
mae | losses.MeanAbsoluteError | nn.L1Loss |
huber | losses.Huber | nn.HuberLoss nn.SmoothL1Loss | optax.huber_loss
binary_cross_entropy | losses.BinaryCrossentropy | nn.BCELoss |
binary_cross_entropy_with_logits | losses.BinaryCrossentropy(from_logits=True) | nn.BCEWithLogitsLoss | optax.sigmoid_binary_cross_entropy
softmax_cross_entropy | losses.CategoricalCrossentropy(from_logits=True) losses.SparseCategoricalCrossentropy(from_logits=True) | nn.CrossEntropyLoss | optax.softmax_cross_entropy optax.softmax_cross_entropy_with_integer_labels
nll | | nn.NLLLoss |
hinge | losses.Hinge | | optax.hinge_loss
kl_divergence | losses.KLDivergence | nn.KLDivLoss | optax.kl_divergence
log_cosh | losses.LogCosh | | optax.log_cosh
quantile | | |
poisson_nll | losses.Poisson | nn.PoissonNLLLoss |
cosine_similarity | losses.CosineSimilarity | nn.CosineSimilarity nn.CosineEmbeddingLoss | optax.cosine_distance optax.cosine_similarity
gaussian_nll | | nn.GaussianNLLLoss |
triplet | | nn.TripletMarginLoss |
weighted | Model.fit(sample_weight=...) | nn.BCELoss(weight=...) |
per_output | Model.compile(loss=[...]) | |

# Optimizers
sgd | optimizers.SGD | optim.SGD | optax.sgd
adagrad | optimizers.Adagrad | optim.Adagrad | optax.adagrad
adadelta | optimizers.Adadelta | optim.Adadelta | optax.adadelta
rmsprop | optimizers.RMSprop | optim.RMSprop | optax.rmsprop
adam | optimizers.Adam | optim.Adam | optax.adam
amsgrad | optimizers.Adam(amsgrad=True) | optim.Adam(amsgrad=True) | optax.amsgrad
adamw | optimizers.AdamW | optim.AdamW | optax.adamw
adamax | optimizers.Adamax | optim.Adamax | optax.adamax
nadam | optimizers.Nadam | optim.NAdam | optax.nadam
radam | | optim.RAdam | optax.radam
lion | optimizers.Lion | | optax.lion
lamb | optimizers.Lamb | | optax.lamb
muon | optimizers.Muon | optim.Muon | optax.contrib.muon
per_path | optimizers.MultiOptimizer | optim.Optimizer.add_param_group | optax.partition optax.multi_transform

# What stands in front of an optimizer
chain | | | optax.chain
clip_by_value | optimizers.Adam(clipvalue=...) | nn.utils.clip_grad_value_ | optax.clip
clip_by_norm | optimizers.Adam(clipnorm=...) | |
clip_by_global_norm | optimizers.Adam(global_clipnorm=...) | nn.utils.clip_grad_norm_ | optax.clip_by_global_norm
weight_decay | | optim.SGD(weight_decay=...) | optax.add_decayed_weights
gradient_noise | | | optax.add_noise
accumulate | optimizers.Adam(gradient_accumulation_steps=...) | | optax.MultiSteps
freeze | layers.Layer.trainable | nn.Module.requires_grad_ | optax.freeze optax.masked
joined | | | optax.flatten
lookahead | | | optax.lookahead
ema | optimizers.Adam(use_ema=True) callbacks.SwapEMAWeights | optim.swa_utils.AveragedModel(multi_avg_fn=...) | nnx.EMA
polyak | | optim.swa_utils.AveragedModel |

# Penalties
Penalty | regularizers.Regularizer | |
l1 | regularizers.L1 | |
l2 | regularizers.L2 | |

# Data
data.batches | utils.PyDataset | utils.data.DataLoader utils.data.TensorDataset |
data.split | utils.split_dataset | utils.data.random_split |
data.one_hot | utils.to_categorical ops.one_hot | nn.functional.one_hot | jax.nn.one_hot
data.standardize | layers.Normalization | | jax.nn.standardize
data.mnist | datasets.mnist | |
data.digits | | |

# Initializers
initializers.zeros | initializers.Zeros | nn.init.zeros_ | jax.nn.initializers.zeros
initializers.ones | initializers.Ones | nn.init.ones_ | jax.nn.initializers.ones
initializers.constant | initializers.Constant | nn.init.constant_ | jax.nn.initializers.constant
initializers.normal | initializers.RandomNormal | nn.init.normal_ | jax.nn.initializers.normal
initializers.truncated_normal | initializers.TruncatedNormal | nn.init.trunc_normal_ | jax.nn.initializers.truncated_normal
initializers.uniform | initializers.RandomUniform | nn.init.uniform_ | jax.nn.initializers.uniform
initializers.variance_scaling | initializers.VarianceScaling | | jax.nn.initializers.variance_scaling
initializers.orthogonal | initializers.Orthogonal | nn.init.orthogonal_ | jax.nn.initializers.orthogonal
initializers.glorot_uniform | initializers.GlorotUniform | nn.init.xavier_uniform_ | jax.nn.initializers.glorot_uniform
initializers.glorot_normal | initializers.GlorotNormal | nn.init.xavier_normal_ | jax.nn.initializers.glorot_normal
initializers.he_uniform | initializers.HeUniform | nn.init.kaiming_uniform_ | jax.nn.initializers.he_uniform
initializers.he_normal | initializers.HeNormal | nn.init.kaiming_normal_ | jax.nn.initializers.he_normal
initializers.lecun_uniform | initializers.LecunUniform | | jax.nn.initializers.lecun_uniform
initializers.lecun_normal | initializers.LecunNormal | | jax.nn.initializers.lecun_normal

# Metrics
metrics.accuracy | metrics.Accuracy metrics.BinaryAccuracy metrics.CategoricalAccuracy metrics.SparseCategoricalAccuracy | | nnx.metrics.Accuracy
metrics.top_k_accuracy | metrics.TopKCategoricalAccuracy metrics.SparseTopKCategoricalAccuracy | |
metrics.confusion_matrix | | |
metrics.precision | metrics.Precision | |
metrics.recall | metrics.Recall | |
metrics.f1 | metrics.F1Score | |
metrics.mean_squared_error | metrics.MeanSquaredError() | |
metrics.mean_absolute_error | metrics.MeanAbsoluteError() | |
metrics.r2 | metrics.R2Score | |
metrics.perplexity | | |

# Schedules of the learning rate
schedules.constant | | optim.lr_scheduler.ConstantLR | optax.constant_schedule
schedules.step | | optim.lr_scheduler.StepLR |
schedules.exponential | optimizers.schedules.ExponentialDecay | optim.lr_scheduler.ExponentialLR | optax.exponential_decay
schedules.polynomial | optimizers.schedules.PolynomialDecay | optim.lr_scheduler.PolynomialLR optim.lr_scheduler.LinearLR | optax.polynomial_schedule optax.linear_schedule
schedules.cosine | optimizers.schedules.CosineDecay | optim.lr_scheduler.CosineAnnealingLR | optax.cosine_decay_schedule
schedules.cosine_restarts | optimizers.schedules.CosineDecayRestarts | optim.lr_scheduler.CosineAnnealingWarmRestarts | optax.sgdr_schedule
schedules.piecewise | optimizers.schedules.PiecewiseConstantDecay | optim.lr_scheduler.MultiStepLR | optax.piecewise_constant_schedule
schedules.warmup | optimizers.schedules.CosineDecay(warmup_steps=...) | optim.lr_scheduler.SequentialLR | optax.warmup_cosine_decay_schedule
schedules.one_cycle | | optim.lr_scheduler.OneCycleLR | optax.cosine_onecycle_schedule
schedules.reduce_on_plateau | callbacks.ReduceLROnPlateau | optim.lr_scheduler.ReduceLROnPlateau | optax.contrib.reduce_on_plateau

# Random numbers
random.uniform | random.uniform | rand | jax.random.uniform
random.normal | random.normal | randn | jax.random.normal
random.truncated_normal | random.truncated_normal | | jax.random.truncated_normal
random.bernoulli | random.binomial | bernoulli | jax.random.bernoulli
random.randint | random.randint | randint | jax.random.randint
random.categorical | random.categorical | multinomial | jax.random.categorical
random.choice | | | jax.random.choice
random.permutation | random.shuffle | randperm | jax.random.permutation
random.gumbel | | | jax.random.gumbel
random.fold_in | | | jax.random.fold_in

# Trees of params
tree.map | tree.map_structure | | jax.tree.map jax.tree_util.tree_map
tree.leaves | tree.flatten() | nn.Module.parameters | jax.tree.leaves jax.tree_util.tree_leaves
tree.items | tree.flatten_with_path | nn.Module.named_parameters | jax.tree.leaves_with_path
tree.flatten | tree.flatten | | jax.tree.flatten
tree.unflatten | tree.pack_sequence_as | | jax.tree.unflatten
tree.ravel | | nn.utils.parameters_to_vector | jax.flatten_util.ravel_pytree
tree.size | Model.count_params | | optax.tree.size
tree.cast | | nn.Module.half nn.Module.double | optax.tree.cast
tree.allclose | ops.allclose | allclose | optax.tree.allclose

# Pictures and checks
plotting.learning_curves | | |
plotting.error_curve | | |
plotting.decision_boundary | | |
introspection.watch | | nn.Module.register_forward_hook | nnx.capture
introspection.attention_weights | layers.MultiHeadAttention.call(return_attention_scores=True) | nn.MultiheadAttention.forward(need_weights=True) |
testing.check_vjp | | autograd.gradcheck | jax.test_util.check_grads
"""  # noqa: E501 (a table, a line for each entry)
