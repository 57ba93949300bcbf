// Shapes of real models for make-model.mjs: GGUF keys and tensor table.

const float = (name, ...dims) => ({ name, dims, kind: 'float' })
const weight = (name, ...dims) => ({ name, dims, kind: 'weight' })

function frame(d, vocabSize) {
  return [weight('token_embd.weight', d, vocabSize), float('output_norm.weight', d), weight('output.weight', d, vocabSize)]
}

function ffn(prefix, d, ff) {
  return [weight(`${prefix}ffn_gate.weight`, d, ff), weight(`${prefix}ffn_up.weight`, d, ff), weight(`${prefix}ffn_down.weight`, ff, d)]
}

function experts(prefix, d, ff, n) {
  return [
    float(`${prefix}ffn_gate_inp.weight`, d, n),
    weight(`${prefix}ffn_gate_exps.weight`, d, ff, n), weight(`${prefix}ffn_up_exps.weight`, d, ff, n), weight(`${prefix}ffn_down_exps.weight`, ff, d, n),
  ]
}

function deepseek2({ name, d, nLayers, heads, qLora, kvLora, nope, rope, v, nDense, denseFf, nExperts, nActive, nShared, ff, groups, activeGroups, sigmoid, scale, vocabSize, mscaleLog }) {
  const tensors = [...frame(d, vocabSize)]
  for (let i = 0; i < nLayers; ++i) {
    const p = `blk.${i}.`
    tensors.push(float(`${p}attn_norm.weight`, d), float(`${p}ffn_norm.weight`, d))
    if (qLora) tensors.push(weight(`${p}attn_q_a.weight`, d, qLora), float(`${p}attn_q_a_norm.weight`, qLora), weight(`${p}attn_q_b.weight`, qLora, heads * (nope + rope)))
    else tensors.push(weight(`${p}attn_q.weight`, d, heads * (nope + rope)))
    tensors.push(weight(`${p}attn_kv_a_mqa.weight`, d, kvLora + rope), float(`${p}attn_kv_a_norm.weight`, kvLora),
      weight(`${p}attn_k_b.weight`, nope, kvLora, heads), weight(`${p}attn_v_b.weight`, kvLora, v, heads), weight(`${p}attn_output.weight`, heads * v, d))
    if (i < nDense) { tensors.push(...ffn(p, d, denseFf)); continue }
    tensors.push(...experts(p, d, ff, nExperts))
    if (sigmoid) tensors.push(float(`${p}exp_probs_b.bias`, nExperts))
    tensors.push(weight(`${p}ffn_gate_shexp.weight`, d, ff * nShared), weight(`${p}ffn_up_shexp.weight`, d, ff * nShared), weight(`${p}ffn_down_shexp.weight`, ff * nShared, d))
  }
  const a = 'deepseek2.'
  const keys = [
    ['general.architecture', 'string', 'deepseek2'], ['general.name', 'string', name], [`${a}block_count`, 'u32', nLayers], [`${a}context_length`, 'u32', 163840],
    [`${a}embedding_length`, 'u32', d], [`${a}feed_forward_length`, 'u32', denseFf], [`${a}attention.head_count`, 'u32', heads], [`${a}attention.head_count_kv`, 'u32', 1],
    [`${a}attention.layer_norm_rms_epsilon`, 'f32', 1e-6], [`${a}attention.kv_lora_rank`, 'u32', kvLora], [`${a}attention.key_length`, 'u32', kvLora + rope], [`${a}attention.value_length`, 'u32', kvLora],
    [`${a}attention.key_length_mla`, 'u32', nope + rope], [`${a}attention.value_length_mla`, 'u32', v], [`${a}rope.dimension_count`, 'u32', rope], [`${a}rope.freq_base`, 'f32', 10000],
    [`${a}rope.scaling.type`, 'string', 'yarn'], [`${a}rope.scaling.factor`, 'f32', 40], [`${a}rope.scaling.original_context_length`, 'u32', 4096], [`${a}rope.scaling.yarn_log_multiplier`, 'f32', mscaleLog],
    [`${a}leading_dense_block_count`, 'u32', nDense], [`${a}expert_feed_forward_length`, 'u32', ff], [`${a}expert_count`, 'u32', nExperts], [`${a}expert_used_count`, 'u32', nActive],
    [`${a}expert_shared_count`, 'u32', nShared], [`${a}expert_weights_scale`, 'f32', scale], [`${a}expert_weights_norm`, 'bool', sigmoid], [`${a}expert_gating_func`, 'u32', sigmoid ? 2 : 1],
    [`${a}vocab_size`, 'u32', vocabSize],
    ...(qLora ? [[`${a}attention.q_lora_rank`, 'u32', qLora]] : []),
    ...(groups > 1 ? [[`${a}expert_group_count`, 'u32', groups], [`${a}expert_group_used_count`, 'u32', activeGroups]] : []),
  ]
  return { keys, tensors, vocabSize }
}

function gqaKeys(architecture, name, { nLayers, d, ff, heads, kvHeads, head, vocabSize, theta, extra }) {
  const a = `${architecture}.`
  return [
    ['general.architecture', 'string', architecture], ['general.name', 'string', name], [`${a}block_count`, 'u32', nLayers], [`${a}context_length`, 'u32', 32768], [`${a}embedding_length`, 'u32', d],
    [`${a}feed_forward_length`, 'u32', ff], [`${a}attention.head_count`, 'u32', heads], [`${a}attention.head_count_kv`, 'u32', kvHeads], [`${a}attention.key_length`, 'u32', head],
    [`${a}attention.value_length`, 'u32', head], [`${a}attention.layer_norm_rms_epsilon`, 'f32', 1e-6], [`${a}rope.freq_base`, 'f32', theta], [`${a}rope.dimension_count`, 'u32', head],
    [`${a}vocab_size`, 'u32', vocabSize], ...extra.map(([key, type, value]) => [a + key, type, value]),
  ]
}

function gqaTensors({ nLayers, d, ff, heads, kvHeads, head, vocabSize, nExperts, qkNorm, biases }) {
  const tensors = [...frame(d, vocabSize)]
  for (let i = 0; i < nLayers; ++i) {
    const p = `blk.${i}.`
    tensors.push(float(`${p}attn_norm.weight`, d), float(`${p}ffn_norm.weight`, d), weight(`${p}attn_q.weight`, d, heads * head), weight(`${p}attn_k.weight`, d, kvHeads * head),
      weight(`${p}attn_v.weight`, d, kvHeads * head), weight(`${p}attn_output.weight`, heads * head, d))
    if (qkNorm) tensors.push(float(`${p}attn_q_norm.weight`, head), float(`${p}attn_k_norm.weight`, head))
    if (biases) tensors.push(float(`${p}attn_q.bias`, heads * head), float(`${p}attn_k.bias`, kvHeads * head), float(`${p}attn_v.bias`, kvHeads * head))
    tensors.push(...(nExperts ? experts(p, d, ff, nExperts) : ffn(p, d, ff)))
  }
  return tensors
}

function gqa(shape) {
  const { architecture, name, nExperts, nActive, ff } = shape
  const extra = nExperts ? [['expert_count', 'u32', nExperts], ['expert_used_count', 'u32', nActive], ['expert_feed_forward_length', 'u32', ff]] : []
  return { keys: gqaKeys(architecture, name, { ...shape, extra }), tensors: gqaTensors(shape), vocabSize: shape.vocabSize }
}

const shapes = {
  'v2-lite': [deepseek2, {
    name: 'V2-Lite shape', d: 2048, nLayers: 27, heads: 16, qLora: 0, kvLora: 512, nope: 128, rope: 64, v: 128, nDense: 1, denseFf: 10944,
    nExperts: 64, nActive: 6, nShared: 2, ff: 1408, groups: 1, activeGroups: 1, sigmoid: false, scale: 1, vocabSize: 102400, mscaleLog: 0.0707,
  }],
  'v3-like': [deepseek2, {
    name: 'V3-like shape', d: 2048, nLayers: 8, heads: 16, qLora: 768, kvLora: 512, nope: 128, rope: 64, v: 128, nDense: 1, denseFf: 8192,
    nExperts: 128, nActive: 8, nShared: 1, ff: 768, groups: 8, activeGroups: 4, sigmoid: true, scale: 2.5, vocabSize: 102400, mscaleLog: 0.1,
  }],
  'qwen3-30b': [gqa, {
    architecture: 'qwen3moe', name: 'Qwen3-30B-A3B shape',
    nLayers: 48, d: 2048, ff: 768, heads: 32, kvHeads: 4, head: 128, vocabSize: 151936, theta: 1e6, nExperts: 128, nActive: 8, qkNorm: true,
  }],
  'mixtral': [gqa, {
    architecture: 'llama', name: 'Mixtral-8x7B shape',
    nLayers: 32, d: 4096, ff: 14336, heads: 32, kvHeads: 8, head: 128, vocabSize: 32256, theta: 1e6, nExperts: 8, nActive: 2,
  }],
  'dense-1.5b': [gqa, {
    architecture: 'qwen2', name: 'Dense 1.5B shape',
    nLayers: 28, d: 1536, ff: 8960, heads: 12, kvHeads: 2, head: 128, vocabSize: 151936, theta: 1e6, biases: true,
  }],
}

export const shapeNames = Object.keys(shapes)

// Keys and tensors of a shape, or of a part of it: the first `layers` layers (of which the
// last has experts if the shape has any), `experts` experts a layer, `vocab` tokens.
export function partOfShape(shapeName, { layers, experts: nExperts, vocab } = {}) {
  const [build, whole] = shapes[shapeName]
  const part = { ...whole, nLayers: layers ?? whole.nLayers, vocabSize: vocab ?? whole.vocabSize }
  if (whole.nDense) part.nDense = Math.min(whole.nDense, part.nLayers - 1)
  if (whole.nExperts && nExperts) part.nExperts = nExperts
  if (!(part.nLayers >= 1 && part.nLayers <= whole.nLayers)) throw new Error(`--layers: ${shapeName} has 1 to ${whole.nLayers}`)
  if (whole.nExperts && !(part.nExperts >= whole.nActive && part.nExperts % (whole.groups ?? 1) === 0)) {
    throw new Error(`--experts: ${shapeName} chooses ${whole.nActive} from ${whole.groups ?? 1} equal groups`)
  }
  return build(part)
}
