// Layouts that differ from file to file: fused projections, experts stacked, fused or one by
// one, the key-value up-projection of MLA before and after its split.
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "model/weight_binder.h"
#include "quant/quant_format.h"
#include "quant/small_blocks.h"

namespace moebius {

void WeightBinder::query_key_value(const std::string& prefix, int64_t hidden_size, int64_t q_rows,
                                   int64_t k_rows, int64_t v_rows, GqaWeights& gqa) {
  if (!has(prefix + "attn_qkv.weight")) {
    gqa.q = linear(prefix + "attn_q", hidden_size, q_rows);
    gqa.k = linear(prefix + "attn_k", hidden_size, k_rows);
    gqa.v = linear(prefix + "attn_v", hidden_size, v_rows);
    return;
  }
  const Linear fused = linear(prefix + "attn_qkv", hidden_size, q_rows + k_rows + v_rows);
  gqa.q.weight = fused.weight.rows(0, q_rows);
  gqa.k.weight = fused.weight.rows(q_rows, k_rows);
  gqa.v.weight = fused.weight.rows(q_rows + k_rows, v_rows);
  if (fused.bias != nullptr) {
    gqa.q.bias = fused.bias;
    gqa.k.bias = fused.bias + q_rows;
    gqa.v.bias = fused.bias + q_rows + k_rows;
    return;
  }
  // The bias may be split even where the weight is not.
  gqa.q.bias = optional_vector(prefix + "attn_q.bias", q_rows);
  gqa.k.bias = optional_vector(prefix + "attn_k.bias", k_rows);
  gqa.v.bias = optional_vector(prefix + "attn_v.bias", v_rows);
}

void WeightBinder::feed_forward(const std::string& prefix, const std::string& suffix, int64_t hidden_size,
                                int64_t width, FfnWeights& ffn) {
  const std::string gate = prefix + "ffn_gate" + suffix, up = prefix + "ffn_up" + suffix;
  const std::string down = prefix + "ffn_down" + suffix;
  if (has(gate + ".weight")) {
    ffn.gate_proj = matrix(gate + ".weight", hidden_size, width);
    ffn.gate_bias = optional_vector(gate + ".bias", width);
    ffn.up_proj = matrix(up + ".weight", hidden_size, width);
    ffn.up_bias = optional_vector(up + ".bias", width);
  } else {
    const Linear fused = linear(up, hidden_size, 2 * width);
    ffn.gate_proj = fused.weight.rows(0, width);
    ffn.up_proj = fused.weight.rows(width, width);
    if (fused.bias != nullptr) {
      ffn.gate_bias = fused.bias;
      ffn.up_bias = fused.bias + width;
    }
  }
  ffn.down_proj = matrix(down + ".weight", width, hidden_size);
  ffn.down_bias = optional_vector(down + ".bias", hidden_size);
}

void WeightBinder::experts(const std::string& prefix, int64_t hidden_size, int64_t feed_forward,
                           int64_t n_experts, FfnWeights& ffn, ScatteredExperts& scattered) {
  const std::string fused_name = prefix + "ffn_gate_up_exps.weight";
  if (has(fused_name)) {
    const Matrix fused = stack(fused_name, hidden_size, 2 * feed_forward, n_experts);
    ffn.gate_proj = fused.rows(0, feed_forward);
    ffn.up_proj = fused.rows(feed_forward, feed_forward);
    ffn.down_proj = stack(prefix + "ffn_down_exps.weight", feed_forward, hidden_size, n_experts);
  } else if (has(prefix + "ffn_gate.0.weight")) {
    ffn.gate_proj = gather_experts(prefix, "ffn_gate", hidden_size, feed_forward, n_experts, scattered.gate_proj);
    ffn.up_proj = gather_experts(prefix, "ffn_up", hidden_size, feed_forward, n_experts, scattered.up_proj);
    ffn.down_proj = gather_experts(prefix, "ffn_down", feed_forward, hidden_size, n_experts, scattered.down_proj);
  } else {
    ffn.gate_proj = stack(prefix + "ffn_gate_exps.weight", hidden_size, feed_forward, n_experts);
    ffn.up_proj = stack(prefix + "ffn_up_exps.weight", hidden_size, feed_forward, n_experts);
    ffn.down_proj = stack(prefix + "ffn_down_exps.weight", feed_forward, hidden_size, n_experts);
  }
  ffn.gate_bias = optional_table(prefix + "ffn_gate_exps.bias", feed_forward, n_experts);
  ffn.up_bias = optional_table(prefix + "ffn_up_exps.bias", feed_forward, n_experts);
  ffn.down_bias = optional_table(prefix + "ffn_down_exps.bias", hidden_size, n_experts);
}

// Mixtral files of early 2024 hold one tensor per expert. Where they lie evenly spaced the
// stack is a view with a long stride, otherwise a copy, unless the experts are to stay.
Matrix WeightBinder::gather_experts(const std::string& prefix, const char* name, int64_t n_in, int64_t n_out,
                                    int64_t n_experts, std::vector<const uint8_t*>& scattered) {
  std::vector<Matrix> parts;
  for (int64_t expert = 0; expert < n_experts; ++expert) {
    const std::string full = prefix + name + "." + std::to_string(expert) + ".weight";
    parts.push_back(matrix(full, n_in, n_out));
    if (parts.back().format != parts.front().format)
      throw Error(ErrorCode::kUnsupported,
                  format_text("tensor %s: expected the %s of the other experts, got %s", full.c_str(),
                              quant_format_info(parts.front().format).name,
                              quant_format_info(parts.back().format).name));
  }
  Matrix stacked = parts.front();
  stacked.n_matrices = n_experts;
  const size_t slice_bytes = stacked.row_bytes * static_cast<size_t>(n_out);
  stacked.matrix_stride = slice_bytes;
  const auto address = [&](size_t index) { return reinterpret_cast<uintptr_t>(parts[index].data); };
  if (n_experts > 1 && address(1) > address(0)) stacked.matrix_stride = address(1) - address(0);
  bool even = true;
  for (size_t i = 1; i < parts.size(); ++i)
    even = even && address(i) == address(0) + i * stacked.matrix_stride;
  if (even) return stacked;
  for (const Matrix& part : parts) scattered.push_back(static_cast<const uint8_t*>(part.data));
  if (headers_only_ || experts_stay_) return stacked;
  stacked.matrix_stride = slice_bytes;
  uint8_t* copy = static_cast<uint8_t*>(take_owned(slice_bytes * parts.size()));
  for (size_t i = 0; i < parts.size(); ++i) std::memcpy(copy + i * slice_bytes, parts[i].data, slice_bytes);
  stacked.data = copy;
  return stacked;
}

void WeightBinder::key_value_up(const std::string& prefix, int64_t n_heads, const MlaConfig& mla,
                                MlaWeights& weights) {
  if (!mla.has_legacy_kv_b) {
    weights.k_b = stack(prefix + "attn_k_b.weight", mla.qk_nope_head_dim, mla.kv_lora_rank, n_heads);
    weights.v_b = stack(prefix + "attn_v_b.weight", mla.kv_lora_rank, mla.v_head_dim, n_heads);
    return;
  }
  // Rows per head: nope key rows, then value rows, all of kv_lora_rank elements.
  const int64_t per_head = mla.qk_nope_head_dim + mla.v_head_dim;
  const Matrix kv_b = matrix(prefix + "attn_kv_b.weight", mla.kv_lora_rank, n_heads * per_head);
  Matrix values = kv_b.rows(mla.qk_nope_head_dim, mla.v_head_dim);
  values.n_matrices = n_heads;
  values.matrix_stride = static_cast<size_t>(per_head) * kv_b.row_bytes;
  weights.v_b = values;
  weights.k_b = transposed_keys(kv_b, n_heads, mla);
}

namespace {

// What a transposed copy is kept in: rows of nope elements fit blocks of 32, seldom of 256.
QuantFormat transposed_format(QuantFormat format, int64_t n) {
  if (format == QuantFormat::kF32 || n % 32 != 0) return QuantFormat::kF32;
  if (format == QuantFormat::kF16 || format == QuantFormat::kBF16) return format;
  return QuantFormat::kQ8_0;
}

void encode_q8_0(const float* src, int64_t n, void* dst) {
  BlockQ8_0* blocks = static_cast<BlockQ8_0*>(dst);
  for (int64_t block = 0; block < n / 32; ++block, src += 32) {
    float largest = 0;
    for (int i = 0; i < 32; ++i) largest = std::fmax(largest, std::fabs(src[i]));
    const float scale = largest / 127;
    blocks[block].d = f32_to_f16(scale);
    for (int i = 0; i < 32; ++i)
      blocks[block].qs[i] = static_cast<int8_t>(scale > 0 ? std::lround(src[i] / scale) : 0);
  }
}

void encode_row(QuantFormat format, const float* src, int64_t n, void* dst) {
  if (format == QuantFormat::kQ8_0) return encode_q8_0(src, n, dst);
  if (format == QuantFormat::kF32) {
    std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  uint16_t* halves = static_cast<uint16_t*>(dst);
  for (int64_t i = 0; i < n; ++i)
    halves[i] = format == QuantFormat::kF16 ? f32_to_f16(src[i]) : f32_to_bf16(src[i]);
}

}  // namespace

// The key half of attn_kv_b turned from [kv_lora_rank] rows into [nope] rows per head.
Matrix WeightBinder::transposed_keys(const Matrix& kv_b, int64_t n_heads, const MlaConfig& mla) {
  const int64_t nope = mla.qk_nope_head_dim, rank = mla.kv_lora_rank;
  Matrix keys;
  keys.format = transposed_format(kv_b.format, nope);
  keys.n_in = nope;
  keys.n_out = rank;
  keys.n_matrices = n_heads;
  keys.row_bytes = quant_row_bytes(keys.format, nope);
  keys.matrix_stride = keys.row_bytes * static_cast<size_t>(rank);
  keys.matrix_scales = kv_b.matrix_scales;
  keys.data = kv_b.data;
  if (headers_only_) return keys;
  uint8_t* out = static_cast<uint8_t*>(take_owned(keys.matrix_stride * static_cast<size_t>(n_heads)));
  keys.data = out;
  const QuantFormatInfo& info = quant_format_info(kv_b.format);
  std::vector<float> head(static_cast<size_t>(nope * rank)), row(static_cast<size_t>(nope));
  for (int64_t h = 0; h < n_heads; ++h) {
    for (int64_t i = 0; i < nope; ++i)
      info.dequantize_row(kv_b.row(h * (nope + mla.v_head_dim) + i), head.data() + i * rank, rank);
    for (int64_t latent = 0; latent < rank; ++latent, out += keys.row_bytes) {
      for (int64_t i = 0; i < nope; ++i)
        row[static_cast<size_t>(i)] = head[static_cast<size_t>(i * rank + latent)];
      encode_row(keys.format, row.data(), nope, out);
    }
  }
  return keys;
}

}  // namespace moebius
