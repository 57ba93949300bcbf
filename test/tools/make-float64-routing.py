"""Routing weights of the golden models in float64, for test/fixtures/routing.

The transformers goldens are computed in f32 and carry its rounding; these do not. The decoder
must choose the experts that the goldens choose.

    python3 test/tools/make-float64-routing.py                     # writes test/fixtures/routing
    python3 test/tools/make-float64-routing.py --f32-activations   # only prints

Models that test/fixtures leaves out are read from $MOEBIUS_GOLDENS/models or shared/fixtures
beside the checkout. With --f32-activations every intermediate is stored as f32, all
arithmetic staying in float64: the error no engine with f32 activations is free of.
"""
import json
import os
import sys
from pathlib import Path

import numpy as np

import float64_decoder
from float64_decoder import MODELS, Decoder, golden_array, read_gguf

NAMES = ('deepseek2-v2', 'deepseek2-v2lite', 'deepseek2-v3', 'deepseek2-v3-mtp', 'deepseek2-legacy', 'deepseek2-fused',
         'mixtral', 'qwen3moe', 'olmoe', 'gpt-oss', 'glm4moe')
OUT = MODELS.parent / 'routing'


def find_folder(name):
    beside = MODELS.parents[2].parent / 'shared/fixtures'
    for folder in (MODELS, Path(os.environ.get('MOEBIUS_GOLDENS', beside)) / 'models', beside / 'models'):
        if (folder / f'{name}.gguf').exists():
            return folder
    raise SystemExit(f'no golden model {name}: set MOEBIUS_GOLDENS')


class StoredAsF32(Decoder):
    """Rounds what every operation leaves behind."""


def rounded(method):
    return lambda self, *given: getattr(Decoder, method)(self, *given).astype(np.float32).astype(np.float64)


for each in ('norm', 'linear', 'rotate', 'attention_weights', 'expert', 'moe', 'residual'):
    setattr(StoredAsF32, each, rounded(each))


def routes(decoder, tokens):
    ids, weights, _ = (np.stack(each) for each in zip(*decoder.run(tokens)['routes']))
    return ids, weights


def main():
    blob, arrays = b'', []
    for name in NAMES:
        float64_decoder.MODELS = find_folder(name)
        meta = json.loads((float64_decoder.MODELS / f'{name}.json').read_text())
        model = read_gguf(float64_decoder.MODELS / f'{name}.gguf')
        golden_error = stored_error = 0
        for key, tokens in meta['sequences'].items():
            ids, weights = routes(Decoder(*model), tokens)
            assert np.array_equal(ids, golden_array(meta, f'{key}.route_ids')), f'{name} {key} chooses other experts'
            golden_error = max(golden_error, np.abs(weights - golden_array(meta, f'{key}.route_weights')).max())
            if '--f32-activations' in sys.argv:
                stored_error = max(stored_error, np.abs(weights - routes(StoredAsF32(*model), tokens)[1]).max())
            raw = np.ascontiguousarray(weights, '<f4').tobytes()
            arrays.append(dict(name=f'{name}.{key}.route_weights', dtype='f32', shape=list(weights.shape), offset=len(blob), nbytes=len(raw)))
            blob += raw + bytes(-len(raw) % 64)
        line = f'{name}: the f32 golden is off by {golden_error:.1e}'
        print(line + f', f32 activations by {stored_error:.1e}' if stored_error else line)
    if '--f32-activations' in sys.argv:
        return
    OUT.mkdir(exist_ok=True)
    (OUT / 'float64.bin').write_bytes(blob)
    meta = dict(name='float64', bin='float64.bin', oracle='test/tools/make-float64-routing.py (numpy, float64)',
                versions=dict(numpy=np.__version__), arrays=arrays)
    (OUT / 'float64.json').write_text(json.dumps(meta) + '\n')


if __name__ == '__main__':
    main()
