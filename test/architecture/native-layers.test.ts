import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { checkNative, maxFileLines, nativeFiles, type NativeRules } from './native-rules'

const root = join(import.meta.dirname, '../..')
const native = join(root, 'native')
const rules = JSON.parse(readFileSync(join(native, 'includes.json'), 'utf8')) as NativeRules

describe('native/', () => {
  it('keeps its layers, its memory, its process and its lengths', () => {
    expect(nativeFiles(native).length).toBeGreaterThan(50)
    expect(checkNative(native, rules)).toEqual([])
  })

  it('names only files that exist in its exceptions', () => {
    const files = nativeFiles(native)
    expect([...rules.pageOwners, ...Object.keys(rules.codeTables)].filter(file => !files.includes(file))).toEqual([])
  })
})

describe('TypeScript and Vue', () => {
  it('keeps files short enough to read', () => {
    const tooLong = ['electron', 'renderer', 'test'].flatMap(folder =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter(file => /\.(ts|mts|mjs|vue)$/.test(file) && !/(^|[\\/])(node_modules|out|dist)[\\/]/.test(file))
        .map(file => join(folder, file)))
      .map(file => ({ file, lines: readFileSync(join(root, file), 'utf8').trimEnd().split('\n').length }))
      .filter(({ lines }) => lines > maxFileLines)
    expect(tooLong).toEqual([])
  })
})

// The checker itself: a rule that cannot fail is no rule.
describe('the checker', () => {
  let folder: string | undefined
  const check = (files: Record<string, string>, changed: Partial<NativeRules> = {}): string[] => {
    folder = mkdtempSync(join(tmpdir(), 'moebius-rules-'))
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, file)), { recursive: true })
      writeFileSync(join(folder, file), text)
    }
    return checkNative(folder, { ...rules, ...changed })
  }
  afterEach(() => { if (folder) rmSync(folder, { recursive: true }) })

  it('reports arrows that point up, across backends and past a strict layer', () => {
    expect(check({
      'base/a.cc': '#include "engine/engine.h"\n#include <vector>\n',
      'model/b.cc': '#include "base/error.h"\n#include "quant/quant_format.h"\n',
      'addon/c.cc': '#include "engine/engine.h"\n#include "model/config.h"\n#include "base/error.h"\n',
      'kernels/cuda/d.cu': '#include "kernels/kernels.h"\n  #  include "kernels/cpu/simd.h"\n',
      'kernels/reference/e.cc': '#include "kernels/cpu/simd.h"\n',
      'attic/f.cc': 'int x;\n',
    })).toEqual([
      'addon/c.cc:2: addon must not include model',
      'attic/f.cc: the folder attic is no layer of includes.json',
      'base/a.cc:1: base must not include engine',
      'kernels/cuda/d.cu:2: kernels/cuda must not include kernels/cpu',
      'kernels/reference/e.cc:1: kernels/reference must not include kernels/cpu',
    ])
  })

  it('reports platform headers outside their folder', () => {
    expect(check({
      'ops/a.cc': '#include <immintrin.h>\n#include <cuda_runtime.h>\n#include <napi.h>\n#import <Metal/Metal.h>\n',
      'kernels/cpu/avx2/b.cc': '#include <immintrin.h>\n',
    })).toEqual([
      'ops/a.cc:1: immintrin.h only in kernels/cpu/', 'ops/a.cc:2: cuda_runtime.h only in kernels/cuda/',
      'ops/a.cc:3: napi.h only in addon/', 'ops/a.cc:4: Metal/Metal.h only in kernels/metal/',
    ])
  })

  it('reports calls that end the process, print or take memory, but not their names in text', () => {
    expect(check({
      'ops/a.cc': [
        'void f() { std::abort(); }', 'void g() { exit(1); }', 'void h() { fprintf(stderr, "x"); }', 'auto& o = std::cerr;',
        'auto* p = std::malloc(n);', 'auto* q = new float[n];', 'auto r = std::make_unique<float[]>(n);', 'auto* s = mmap(0, n);',
        '// exit(1) and malloc(2)', 'const char* t = "abort()";', 'worker.exit();', 'int n = snprintf(b, 3, "x");', 'auto x = new Thing(a[0]);',
      ].join('\n'),
      'base/page_buffer.cc': 'auto* s = ::mmap(0, n);\n',
    })).toEqual([
      'ops/a.cc:1: never ends the process: throw Error', 'ops/a.cc:2: never ends the process: throw Error',
      'ops/a.cc:3: never prints', 'ops/a.cc:4: never prints', 'ops/a.cc:5: heap memory: use PageBuffer',
      'ops/a.cc:6: array new: use PageBuffer or std::vector', 'ops/a.cc:7: array on the heap: use PageBuffer or std::vector',
      'ops/a.cc:8: only PageBuffer and MappedFile ask for pages',
    ])
  })

  it('reports long files and functions, and lets code tables be long', () => {
    const body = '  x += 1;\n'.repeat(99)
    const long = `namespace moebius {\n\nvoid f(int x,\n       int y) {\n${body}}\n\nvoid g(int x) {\n${body.slice(10)}}\n\nstruct S {\n${'  int x;\n'.repeat(150)}};\n}\n`
    expect(check({ 'ops/a.cc': long, 'ops/b.h': 'int x;\n'.repeat(501), 'ops/c.h': 'int x;\n'.repeat(501) }, { codeTables: { 'ops/c.h': 'table' } })).toEqual([
      'ops/a.cc:4: a function of 101 lines, at most 100', 'ops/b.h: 501 lines, at most 500',
    ])
  })
})
