"""A plain numpy decoder in float64 over GGUF files with f32 weights, written from the families'
published modelling code: what the weights mean, before any rounding of activations.
"""
import json
import struct
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
    'deepseek2': dict(rope='adjacent'),
    'gpt-oss': dict(rope='half', ffn_norm='post_attention_norm', score='selected', window_period=2),
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
        self.scale = 1 / np.sqrt(self.head)
        if self.key('rope.scaling.type') == 'yarn':
            self.yarn(n_rot)
        self.window = self.key('attention.sliding_window', 0)

    def key(self, suffix, default=None):
        value = self.keys.get(f'{self.arch}.{suffix}', default)
        return value[1] if isinstance(value, tuple) else value

    def yarn(self, n_rot):
        """arXiv 2309.00071; gpt-oss does not round the range, DeepSeek scales scores, not angles."""
        factor, length = self.key('rope.scaling.factor'), self.key('rope.scaling.original_context_length')
        turns = np.array([self.key('rope.scaling.yarn_beta_fast', 32.0), self.key('rope.scaling.yarn_beta_slow', 1.0)])
        low, high = n_rot * np.log(length / (turns * 2 * np.pi)) / (2 * np.log(self.key('rope.freq_base')))
        if self.arch != 'gpt-oss':
            low, high = np.floor(low), np.ceil(high)
        low, high = max(low, 0), min(high, n_rot - 1)
        ramp = np.clip((np.arange(n_rot // 2) - low) / max(high - low, 0.001), 0, 1)
        self.frequency = self.frequency / factor * ramp + self.frequency * (1 - ramp)
        if self.arch == 'deepseek2':
            head = self.key('attention.key_length_mla', self.key('attention.key_length'))
            self.scale = head ** -0.5 * (self.key('rope.scaling.yarn_log_multiplier') * np.log(factor) + 1) ** 2
        else:
            self.magnitude = 0.1 * np.log(factor) + 1

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
        weights = self.attention_weights(np.einsum('qhd,khd->hqk', q, k), blk)
        return self.linear(np.einsum('hqk,khd->qhd', weights, v).reshape(n, -1), blk + 'attn_output')

    def attention_weights(self, products, blk):
        distance = np.arange(products.shape[1])[:, None] - np.arange(products.shape[2])
        is_local = self.window > 0 and int(blk.split('.')[1]) % self.family.get('window_period', 1) == 0
        hidden = (distance < 0) | ((distance >= self.window) if is_local else False)
        scores = np.where(hidden, -np.inf, products * self.scale)
        if blk + 'attn_sinks.weight' not in self.t:
            return softmax(scores)
        sinks = np.broadcast_to(self.t[blk + 'attn_sinks.weight'][:, None, None], (*scores.shape[:2], 1))
        return softmax(np.concatenate([scores, sinks], axis=-1))[..., :-1]

    def latent_attention(self, x, blk):
        """MLA with keys and values expanded per head."""
        n, rank, n_rot = len(x), self.key('attention.kv_lora_rank'), 2 * len(self.frequency)
        if blk + 'attn_q_a.weight' in self.t:
            q = self.norm(self.linear(x, blk + 'attn_q_a'), self.t[blk + 'attn_q_a_norm.weight'])
            q = self.linear(q, blk + 'attn_q_b')
        else:
            q = self.linear(x, blk + 'attn_q')
        q = q.reshape(n, self.heads, -1)
        nope = q.shape[-1] - n_rot
        compressed = self.linear(x, blk + 'attn_kv_a_mqa')
        latent = self.norm(compressed[:, :rank], self.t[blk + 'attn_kv_a_norm.weight'])
        k_rope = self.rotate(compressed[:, None, rank:])
        if blk + 'attn_kv_b.weight' in self.t:
            k_b, v_b = np.split(self.t[blk + 'attn_kv_b.weight'].reshape(self.heads, -1, rank), [nope], axis=1)
        else:
            k_b, v_b = self.t[blk + 'attn_k_b.weight'].transpose(0, 2, 1), self.t[blk + 'attn_v_b.weight']
        keys, values = np.einsum('kr,hdr->khd', latent, k_b), np.einsum('kr,hdr->khd', latent, v_b)
        q_rope = self.rotate(q[..., nope:])
        products = np.einsum('qhd,khd->hqk', q[..., :nope], keys) + np.einsum('qhd,kd->hqk', q_rope, k_rope[:, 0])
        weights = self.attention_weights(products, blk)
        return self.linear(np.einsum('hqk,khd->qhd', weights, values).reshape(n, -1), blk + 'attn_output')

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
            # V2 (softmax) takes a group's best expert, V3 (sigmoid) the sum of its two best.
            strength = np.sort(z, axis=1)[:, -2 if self.is_sigmoid() else -1:].sum(1)
            kept = np.argsort(-strength, kind='stable')[:self.key('expert_group_used_count', 1)]
            z[np.setdiff1d(np.arange(groups), kept)] = -np.inf
        ids = np.argsort(-z.ravel(), kind='stable')[:self.key('expert_used_count')]
        weights = softmax(scores[ids]) if self.family.get('score') == 'selected' else scores[ids]
        if self.key('expert_weights_norm', self.family.get('normalize', False)) or self.family.get('normalize'):
            weights = weights / weights.sum()
        return ids, weights * (self.key('expert_weights_scale', 1.0) or 1.0)

    def is_sigmoid(self):
        return self.family.get('score') == 'sigmoid' or self.key('expert_gating_func') == 2

    def expert(self, x, blk, expert):
        if blk + 'ffn_gate_up_exps.weight' in self.t:
            gate, up = np.split(self.t[blk + 'ffn_gate_up_exps.weight'][expert] @ x, 2)
        else:
            gate, up = (self.t[blk + f'ffn_{part}_exps.weight'][expert] @ x for part in ('gate', 'up'))
        down = self.t[blk + 'ffn_down_exps.weight'][expert]
        if self.arch != 'gpt-oss':
            return down @ (silu(gate) * up)
        gate = np.minimum(gate + self.t[blk + 'ffn_gate_exps.bias'][expert], 7)
        up = np.clip(up + self.t[blk + 'ffn_up_exps.bias'][expert], -7, 7)
        return down @ ((up + 1) * gate / (1 + np.exp(-1.702 * gate))) + self.t[blk + 'ffn_down_exps.bias'][expert]

    def moe(self, x, blk, trace):
        logits = self.linear(x, blk + 'ffn_gate_inp')
        if self.family.get('score') == 'selected':
            scores = logits
        else:
            scores = 1 / (1 + np.exp(-logits)) if self.is_sigmoid() else softmax(logits)
        biased = scores + self.t.get(blk + 'exp_probs_b.bias', 0)
        y, ids_all, weights_all = np.zeros_like(x), [], []
        for row in range(len(x)):
            ids, weights = self.choose(scores[row], biased[row])
            for expert, weight in zip(ids, weights):
                y[row] += weight * self.expert(x[row], blk, expert)
            order = np.argsort(ids)
            ids_all.append(ids[order])
            weights_all.append(weights[order])
        trace.append((np.array(ids_all), np.array(weights_all), logits))
        if blk + 'ffn_up_shexp.weight' in self.t:
            shared = self.ffn(x, blk, '_shexp')
            router = self.t.get(blk + 'ffn_gate_inp_shexp.weight')
            y = y + (shared if router is None else shared / (1 + np.exp(-(x @ router)))[:, None])
        return y

    def residual(self, x, y):
        return x + y

    def run(self, tokens):
        x = self.t['token_embd.weight'][tokens]
        result = {'embed': x, 'hidden': [], 'routes': []}
        attention = self.latent_attention if self.arch == 'deepseek2' else self.attention
        for layer in range(self.key('block_count') - self.key('nextn_predict_layers', 0)):
            blk = f'blk.{layer}.'
            x = self.residual(x, attention(self.norm(x, self.t[blk + 'attn_norm.weight']), blk))
            y = self.norm(x, self.t[blk + self.family.get('ffn_norm', 'ffn_norm') + '.weight'])
            is_moe = blk + 'ffn_gate_inp.weight' in self.t
            x = self.residual(x, self.moe(y, blk, result['routes']) if is_moe else self.ffn(y, blk))
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
    for name in ('llama', 'mixtral', 'qwen2', 'qwen3moe', 'olmoe', 'glm4moe', 'gpt-oss', 'deepseek2-v2', 'deepseek2-v3'):
        meta = json.loads((MODELS / f'{name}.json').read_text())
        got = Decoder(*read_gguf(MODELS / f'{name}.gguf')).run(meta['sequences']['s96'])['logits']
        expected = golden_array(meta, 's96.logits').astype(np.float64)
        error = ((got - expected) ** 2).sum() / (expected ** 2).sum()
        print(f'{name}: NMSE against transformers {error:.2e}')
        assert error < 1e-11, name


