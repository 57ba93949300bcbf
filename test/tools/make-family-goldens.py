"""Tiny random models and reference logits for families that have no other golden.

Made by the decoder of float64_decoder.py. Before anything is written, that decoder must
reproduce the goldens that transformers made.

    python3 test/tools/make-family-goldens.py            # writes test/fixtures/models/
    python3 test/tools/make-family-goldens.py --check    # only compares, writes nothing
"""
import json
import struct
import sys

import numpy as np

from float64_decoder import MODELS, Decoder, check_against_transformers, read_gguf


def write_gguf(path, keys, tensors):
    def text(value):
        return struct.pack('<Q', len(value.encode())) + value.encode()

    def entry(key, value):
        if isinstance(value, tuple):  # copied from another file
            return text(key) + struct.pack('<I', value[0]) + value[2]
        if isinstance(value, bool):
            return text(key) + struct.pack('<I?', 7, value)
        if isinstance(value, int):
            return text(key) + struct.pack('<II', 4, value)
        if isinstance(value, float):
            return text(key) + struct.pack('<If', 6, value)
        return text(key) + struct.pack('<I', 8) + text(value)

    head = b'GGUF' + struct.pack('<Iqq', 3, len(tensors), len(keys))
    head += b''.join(entry(key, value) for key, value in keys.items())
    body = b''
    for name, array in tensors.items():
        head += text(name) + struct.pack('<I', array.ndim) + struct.pack(f'<{array.ndim}q', *array.shape[::-1])
        head += struct.pack('<IQ', 0, len(body))
        body += array.astype('<f4').tobytes()
        body += bytes(-len(body) % 32)
    path.write_bytes(head + bytes(-len(head) % 32) + body)


# New models ------------------------------------------------------------------------------

class Builder:
    """Random tensors of one family; seeds differ by model so that none repeats."""

    def __init__(self, arch, seed, d=32, layers=2, heads=4, kv_heads=2, head=8, ff=48):
        self.random = np.random.default_rng(seed)
        self.d, self.heads, self.kv_heads, self.head, self.arch, self.ff = d, heads, kv_heads, head, arch, ff
        donor, _ = read_gguf(MODELS / 'qwen3moe.gguf')
        self.keys = {'general.architecture': arch, 'general.name': f'tiny {arch}'}
        self.set(block_count=layers, context_length=512, embedding_length=d, feed_forward_length=ff)
        self.set(**{'attention.head_count': heads, 'attention.head_count_kv': kv_heads,
                    'attention.layer_norm_rms_epsilon': 1e-6, 'rope.freq_base': 10000.0})
        self.keys.update({key: value for key, value in donor.items() if key.startswith('tokenizer.')})
        self.tensors, self.layers = {}, layers
        # Tied, to keep the files small; a scale that leaves logits of a few units.
        self.add('token_embd.weight', 512, d, scale=2.5 / np.sqrt(d))
        self.vector('output_norm.weight', d)

    def set(self, **values):
        self.keys.update({f'{self.arch}.{key}': value for key, value in values.items()})

    def add(self, name, *shape, scale=None):
        scale = 1 / np.sqrt(shape[-1]) if scale is None else scale
        self.tensors[name] = (self.random.standard_normal(shape) * scale).astype(np.float32)

    def vector(self, name, n, mean=1.0, spread=0.2):
        self.tensors[name] = (mean + spread * self.random.standard_normal(n)).astype(np.float32)

    def attention(self, layer, fused=False, bias=False, qk_norm=False):
        blk, q, kv = f'blk.{layer}.', self.heads * self.head, self.kv_heads * self.head
        self.vector(blk + 'attn_norm.weight', self.d)
        parts = {'attn_qkv': q + 2 * kv} if fused else {'attn_q': q, 'attn_k': kv, 'attn_v': kv}
        for name, rows in parts.items():
            self.add(blk + name + '.weight', rows, self.d)
            if bias:
                self.vector(blk + name + '.bias', rows, mean=0, spread=0.5)
        if qk_norm:
            self.vector(blk + 'attn_q_norm.weight', self.head)
            self.vector(blk + 'attn_k_norm.weight', self.head)
        self.add(blk + 'attn_output.weight', self.d, q)
        self.vector(blk + 'ffn_norm.weight', self.d)

    def ffn(self, layer, width, suffix='', fused=False):
        blk = f'blk.{layer}.ffn_'
        if fused:
            self.add(blk + f'up{suffix}.weight', 2 * width, self.d)
        else:
            self.add(blk + f'gate{suffix}.weight', width, self.d)
            self.add(blk + f'up{suffix}.weight', width, self.d)
        self.add(blk + f'down{suffix}.weight', self.d, width)

    def experts(self, layer, n, width, bias=None):
        blk = f'blk.{layer}.'
        self.add(blk + 'ffn_gate_inp.weight', n, self.d, scale=2 / np.sqrt(self.d))
        if bias:
            self.vector(blk + 'exp_probs_b.bias', n, mean=0, spread=bias)
        for part, shape in (('gate', (n, width, self.d)), ('up', (n, width, self.d)), ('down', (n, self.d, width))):
            self.add(blk + f'ffn_{part}_exps.weight', *shape)


def qwen2moe():
    b = Builder('qwen2moe', 9001)
    b.set(expert_count=8, expert_used_count=3, expert_feed_forward_length=16, expert_shared_feed_forward_length=40)
    for layer in range(b.layers):
        b.attention(layer, bias=True)
        b.experts(layer, 8, 16)
        b.vector(f'blk.{layer}.ffn_gate_inp_shexp.weight', b.d, mean=0, spread=0.25)
        b.ffn(layer, 40, '_shexp')
    return b


def deepseek():
    b = Builder('deepseek', 9002, kv_heads=4)
    b.set(leading_dense_block_count=1, expert_count=8, expert_used_count=3, expert_feed_forward_length=16,
          expert_shared_count=2, expert_weights_scale=1.5)
    for layer in range(b.layers):
        b.attention(layer)
        if layer == 0:
            b.ffn(layer, b.ff)
        else:
            b.experts(layer, 8, 16)
            b.ffn(layer, 32, '_shexp')
    return b


def ernie4_5():
    b = Builder('ernie4_5', 9003)
    for layer in range(b.layers):
        b.attention(layer)
        b.ffn(layer, b.ff)
    return b


def ernie4_5_moe():
    b = Builder('ernie4_5-moe', 9004, layers=4)
    b.set(leading_dense_block_count=1, interleave_moe_layer_step=2, expert_count=8, expert_used_count=3,
          expert_feed_forward_length=16, expert_shared_count=2, expert_shared_feed_forward_length=32)
    for layer in range(b.layers):
        b.attention(layer)
        if layer >= 1 and (layer + 1) % 2 == 0:
            b.experts(layer, 8, 16, bias=0.05)
            b.ffn(layer, 32, '_shexp')
        else:
            b.ffn(layer, b.ff)
    return b


def bailingmoe2():
    b = Builder('bailingmoe2', 9005)
    b.set(leading_dense_block_count=1, expert_count=8, expert_used_count=3, expert_feed_forward_length=16,
          expert_shared_count=2, expert_shared_feed_forward_length=16, expert_weights_scale=2.5, expert_weights_norm=True,
          expert_gating_func=2, expert_group_count=4, expert_group_used_count=2, **{'rope.dimension_count': 4})
    for layer in range(b.layers):
        b.attention(layer, fused=True, qk_norm=True)
        if layer == 0:
            b.ffn(layer, b.ff)
        else:
            b.experts(layer, 8, 16, bias=0.2)
            b.ffn(layer, 32, '_shexp')
    return b


def phi3():
    b = Builder('phi3', 9006)
    b.set(**{'rope.scaling.original_context_length': 128, 'rope.scaling.attn_factor': 1.19, 'rope.dimension_count': 6,
             'attention.sliding_window': 11})
    b.tensors['rope_factors_short.weight'] = np.linspace(1, 1.5, 3).astype(np.float32)
    b.tensors['rope_factors_long.weight'] = np.linspace(1, 40, 3).astype(np.float32)
    for layer in range(b.layers):
        b.attention(layer, fused=True)
        b.ffn(layer, b.ff, fused=True)
    return b


def sequences(seed):
    return {'s17': np.random.default_rng(seed).integers(0, 512, 17).tolist()}


def record(name, build):
    builder = build()
    write_gguf(MODELS / f'{name}.gguf', builder.keys, builder.tensors)
    keys, tensors = read_gguf(MODELS / f'{name}.gguf')
    decoder, blob, arrays, texts = Decoder(keys, tensors), b'', [], sequences(len(name))

    def add(array_name, array, kind):
        nonlocal blob
        raw = np.ascontiguousarray(array, {'f32': '<f4', 'i32': '<i4'}[kind]).tobytes()
        arrays.append(dict(name=array_name, dtype=kind, shape=list(np.shape(array)), offset=len(blob), nbytes=len(raw)))
        blob += raw + bytes(-len(raw) % 64)

    for key, tokens in texts.items():
        result = decoder.run(tokens)
        add(f'{key}.logits', result['logits'], 'f32')
        if result['routes']:
            ids, weights, _ = (np.stack(each) for each in zip(*result['routes']))
            add(f'{key}.route_ids', ids, 'i32')
            add(f'{key}.route_weights', weights, 'f32')
        if key == 's17':
            add('s17.embed', result['embed'], 'f32')
            add('s17.hidden', np.stack(result['hidden']), 'f32')
            add('s17.final_norm', result['final_norm'], 'f32')
        if 'rope_factors_long.weight' in tensors:
            add(f'alt_long.{key}.logits', Decoder(keys, tensors, long_rope=True).run(tokens)['logits'], 'f32')
    tokens, greedy, gaps = list(texts['s17']), [], []
    for _ in range(32):
        last = np.sort(decoder.run(tokens)['logits'][-1])
        greedy.append(int(decoder.run(tokens)['logits'][-1].argmax()))
        gaps.append(round(float(last[-1] - last[-2]), 4))
        tokens.append(greedy[-1])
    (MODELS / f'{name}.bin').write_bytes(blob)
    meta = dict(name=name, arch=builder.arch, gguf=f'{name}.gguf', bin=f'{name}.bin',
                oracle='test/tools/make-family-goldens.py (numpy, float64)', versions=dict(numpy=np.__version__),
                sequences=texts, greedy=dict(prompt='s17', n=32, tokens=greedy, gaps=gaps), arrays=arrays)
    (MODELS / f'{name}.json').write_text(json.dumps(meta) + '\n')
    print(f'{name}: {len(tensors)} tensors, smallest greedy gap {min(gaps)}')


if __name__ == '__main__':
    check_against_transformers()
    if '--check' not in sys.argv:
        for each in (qwen2moe, deepseek, ernie4_5, ernie4_5_moe, bailingmoe2, phi3):
            record(each.__name__.replace('_moe', '-moe'), each)
