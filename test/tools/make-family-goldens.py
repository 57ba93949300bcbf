"""Tiny random models and reference logits for families that have no other golden.

A plain numpy decoder in float64 over GGUF weights, written from the families' published
modelling code. Before it writes anything it must reproduce the goldens that transformers
made for llama, mixtral, qwen2, qwen3moe, olmoe and glm4moe.

    python3 test/tools/make-family-goldens.py            # writes test/fixtures/models/
    python3 test/tools/make-family-goldens.py --check    # only compares, writes nothing
"""
import json
import struct
import sys
from pathlib import Path

import numpy as np

MODELS = Path(__file__).resolve().parent.parent / 'fixtures' / 'models'
SCALARS = {0: 'B', 1: 'b', 2: 'H', 3: 'h', 4: 'I', 5: 'i', 6: 'f', 7: '?', 10: 'Q', 11: 'q', 12: 'd'}


# GGUF ----------------------------------------------------------------------------------

def read_gguf(path):
    """Metadata as {key: (type, value, raw bytes)} and f32 tensors as {name: array}."""
    data, at = path.read_bytes(), 24
    n_tensors, n_keys = struct.unpack_from('<qq', data, 8)

    def text():
        nonlocal at
        n = struct.unpack_from('<Q', data, at)[0]
        at += 8 + n
        return data[at - n:at].decode('utf-8', 'replace')

    def value(kind):
        nonlocal at
        if kind == 8:
            return text()
        if kind == 9:
            inner, n = struct.unpack_from('<IQ', data, at)
            at += 12
            return [value(inner) for _ in range(n)]
        at += struct.calcsize(SCALARS[kind])
        return struct.unpack_from('<' + SCALARS[kind], data, at - struct.calcsize(SCALARS[kind]))[0]

    keys, infos, tensors = {}, [], {}
    for _ in range(n_keys):
        key = text()
        kind = struct.unpack_from('<I', data, at)[0]
        at += 4
        begin = at
        keys[key] = (kind, value(kind), data[begin:at])
    for _ in range(n_tensors):
        name = text()
        n_dims = struct.unpack_from('<I', data, at)[0]
        dims = struct.unpack_from(f'<{n_dims}q', data, at + 4)
        kind, offset = struct.unpack_from('<IQ', data, at + 4 + 8 * n_dims)
        at += 16 + 8 * n_dims
        infos.append((name, dims, kind, offset))
    base = (at + 31) // 32 * 32
    for name, dims, kind, offset in infos:
        assert kind == 0, f'{path}: {name} is not F32'
        n = int(np.prod(dims))
        tensors[name] = np.frombuffer(data, '<f4', n, base + offset).reshape(dims[::-1])
    return keys, tensors


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


# Decoder -------------------------------------------------------------------------------

FAMILIES = {
    'llama': dict(rope='adjacent', normalize=True),
    'qwen2': dict(rope='half'),
    'qwen2moe': dict(rope='half'),
    'qwen3moe': dict(rope='half', normalize=True),
    'olmoe': dict(rope='half'),
    'glm4moe': dict(rope='half', ffn_norm='post_attention_norm', score='sigmoid'),
    'deepseek': dict(rope='adjacent'),
    'ernie4_5': dict(rope='adjacent'),
    'ernie4_5-moe': dict(rope='adjacent', normalize=True),
    'bailingmoe2': dict(rope='half', score='sigmoid'),
    'phi3': dict(rope='half'),
}


def silu(x):
    return x / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class Decoder:
    def __init__(self, keys, tensors, long_rope=False):
        self.arch = keys['general.architecture'][1] if isinstance(keys['general.architecture'], tuple) else keys['general.architecture']
        self.keys, self.family = keys, FAMILIES[self.arch]
        self.t = {name: array.astype(np.float64) for name, array in tensors.items()}
        self.d = self.key('embedding_length')
        self.heads = self.key('attention.head_count')
        self.kv_heads = self.key('attention.head_count_kv', self.heads)
        self.head = self.key('attention.key_length', self.d // self.heads)
        self.eps = self.key('attention.layer_norm_rms_epsilon')
        n_rot = self.key('rope.dimension_count', self.head)
        frequency = float(self.key('rope.freq_base', 10000.0)) ** (-np.arange(0, n_rot, 2) / n_rot)
        which = 'rope_factors_long.weight' if long_rope else 'rope_factors_short.weight'
        for name in ('rope_freqs.weight', which):
            if name in self.t:
                frequency = frequency / self.t[name]
        self.frequency = frequency
        self.magnitude = self.key('rope.scaling.attn_factor', 1.0)
        self.window = self.key('attention.sliding_window', 0)

    def key(self, suffix, default=None):
        value = self.keys.get(f'{self.arch}.{suffix}', default)
        return value[1] if isinstance(value, tuple) else value

    def norm(self, x, weight):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.eps) * weight

    def linear(self, x, name):
        y = x @ self.t[name + '.weight'].T
        return y + self.t[name + '.bias'] if name + '.bias' in self.t else y

    def rotate(self, x):
        """x [tokens, heads, head]; the first n_rot elements turn, the rest passes."""
        half = len(self.frequency)
        angle = np.arange(len(x))[:, None] * self.frequency
        cos, sin = (np.cos(angle) * self.magnitude)[:, None], (np.sin(angle) * self.magnitude)[:, None]
        turned, y = x[..., :2 * half], x.copy()
        if self.family['rope'] == 'half':
            a, b = turned[..., :half], turned[..., half:]
            y[..., :half], y[..., half:2 * half] = a * cos - b * sin, b * cos + a * sin
        else:
            a, b = turned[..., 0::2], turned[..., 1::2]
            y[..., 0:2 * half:2], y[..., 1:2 * half:2] = a * cos - b * sin, b * cos + a * sin
        return y

    def attention(self, x, blk):
        n = len(x)
        if blk + 'attn_qkv.weight' in self.t:
            sizes = np.cumsum([self.heads * self.head, self.kv_heads * self.head])
            q, k, v = np.split(self.linear(x, blk + 'attn_qkv'), sizes, axis=-1)
        else:
            q, k, v = (self.linear(x, blk + f'attn_{part}') for part in 'qkv')
        norms = blk + 'attn_q_norm.weight', blk + 'attn_k_norm.weight'
        whole = norms[0] in self.t and self.t[norms[0]].size > self.head
        if whole:
            q, k = self.norm(q, self.t[norms[0]]), self.norm(k, self.t[norms[1]])
        q, k, v = (part.reshape(n, -1, self.head) for part in (q, k, v))
        if norms[0] in self.t and not whole:
            q, k = self.norm(q, self.t[norms[0]]), self.norm(k, self.t[norms[1]])
        q, k = self.rotate(q), self.rotate(k)
        k, v = (np.repeat(part, self.heads // self.kv_heads, axis=1) for part in (k, v))
        scores = np.einsum('qhd,khd->hqk', q, k) / np.sqrt(self.head)
        distance = np.arange(n)[:, None] - np.arange(n)
        hidden = (distance < 0) | ((distance >= self.window) if self.window else False)
        weights = softmax(np.where(hidden, -np.inf, scores))
        return self.linear(np.einsum('hqk,khd->qhd', weights, v).reshape(n, -1), blk + 'attn_output')

    def ffn(self, x, blk, suffix=''):
        if blk + f'ffn_gate{suffix}.weight' in self.t:
            gate, up = self.linear(x, blk + 'ffn_gate' + suffix), self.linear(x, blk + 'ffn_up' + suffix)
        else:
            gate, up = np.split(self.linear(x, blk + 'ffn_up' + suffix), 2, axis=-1)
        return self.linear(silu(gate) * up, blk + 'ffn_down' + suffix)

    def choose(self, scores, biased):
        """The k best experts of one token, inside the best groups."""
        groups = max(self.key('expert_group_count', 1), 1)
        z = biased.reshape(groups, -1).copy()
        if groups > 1:
            strength = np.sort(z, axis=1)[:, -2:].sum(1)
            kept = np.argsort(-strength, kind='stable')[:self.key('expert_group_used_count', 1)]
            z[np.setdiff1d(np.arange(groups), kept)] = -np.inf
        ids = np.argsort(-z.ravel(), kind='stable')[:self.key('expert_used_count')]
        weights = scores[ids]
        if self.key('expert_weights_norm', self.family.get('normalize', False)) or self.family.get('normalize'):
            weights = weights / weights.sum()
        return ids, weights * (self.key('expert_weights_scale', 1.0) or 1.0)

    def moe(self, x, blk, trace):
        logits = x @ self.t[blk + 'ffn_gate_inp.weight'].T
        scores = 1 / (1 + np.exp(-logits)) if self.family.get('score') == 'sigmoid' else softmax(logits)
        biased = scores + self.t.get(blk + 'exp_probs_b.bias', 0)
        y, ids_all, weights_all = np.zeros_like(x), [], []
        for row in range(len(x)):
            ids, weights = self.choose(scores[row], biased[row])
            for expert, weight in zip(ids, weights):
                gate, up, down = (self.t[blk + f'ffn_{part}_exps.weight'][expert] for part in ('gate', 'up', 'down'))
                y[row] += weight * (down @ (silu(gate @ x[row]) * (up @ x[row])))
            order = np.argsort(ids)
            ids_all.append(ids[order])
            weights_all.append(weights[order])
        trace.append((np.array(ids_all), np.array(weights_all), logits))
        if blk + 'ffn_up_shexp.weight' in self.t:
            shared = self.ffn(x, blk, '_shexp')
            router = self.t.get(blk + 'ffn_gate_inp_shexp.weight')
            y = y + (shared if router is None else shared / (1 + np.exp(-(x @ router)))[:, None])
        return y

    def run(self, tokens):
        x = self.t['token_embd.weight'][tokens]
        result = {'embed': x, 'hidden': [], 'routes': []}
        for layer in range(self.key('block_count')):
            blk = f'blk.{layer}.'
            x = x + self.attention(self.norm(x, self.t[blk + 'attn_norm.weight']), blk)
            y = self.norm(x, self.t[blk + self.family.get('ffn_norm', 'ffn_norm') + '.weight'])
            is_moe = blk + 'ffn_gate_inp.weight' in self.t
            x = x + (self.moe(y, blk, result['routes']) if is_moe else self.ffn(y, blk))
            result['hidden'].append(x)
        x = self.norm(x, self.t['output_norm.weight'])
        result['final_norm'] = x
        result['logits'] = x @ self.t.get('output.weight', self.t['token_embd.weight']).T
        return result


# The decoder must agree with transformers -------------------------------------------------

def golden_array(meta, name):
    entry = next(each for each in meta['arrays'] if each['name'] == name)
    kind = {'f32': '<f4', 'i32': '<i4', 'u8': 'u1'}[entry['dtype']]
    data = (MODELS / meta['bin']).read_bytes()
    return np.frombuffer(data, kind, int(np.prod(entry['shape'])), entry['offset']).reshape(entry['shape'])


def check_against_transformers():
    for name in ('llama', 'mixtral', 'qwen2', 'qwen3moe', 'olmoe', 'glm4moe'):
        meta = json.loads((MODELS / f'{name}.json').read_text())
        got = Decoder(*read_gguf(MODELS / f'{name}.gguf')).run(meta['sequences']['s96'])['logits']
        expected = golden_array(meta, 's96.logits').astype(np.float64)
        error = ((got - expected) ** 2).sum() / (expected ** 2).sum()
        print(f'{name}: NMSE against transformers {error:.2e}')
        assert error < 1e-10, name


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
