#include "kernels/backend.h"
#include "kernels/reference/reference.h"

namespace moebius {

namespace {

class ReferenceBackend : public Backend {
 public:
  const char* id() const override { return "reference"; }
  bool available() const override { return true; }
  std::string unavailable_reason() const override { return ""; }
  std::string device_name() const override { return "plain loops"; }
  std::string level() const override { return "reference"; }
  const KernelTable& kernels() const override { return table_; }

 private:
  KernelTable table_ = {
      .matmul = reference::matmul,
      .matmul_heads = reference::matmul_heads,
      .dense_ffn = reference::dense_ffn,
      .moe_ffn = reference::moe_ffn,
      .gather_rows = reference::gather_rows,
      .rms_norm = reference::rms_norm,
      .rope = reference::rope,
      .add = reference::add,
      .store_cache_rows = reference::store_cache_rows,
      .load_cache_rows = reference::load_cache_rows,
      .gqa_attention = reference::gqa_attention,
      .mla_absorbed_attention = reference::mla_absorbed_attention,
      .mla_expanded_attention = reference::mla_expanded_attention,
      .select_experts = reference::select_experts,
  };
};

}  // namespace

Backend& reference_backend() {
  static ReferenceBackend backend;
  return backend;
}

}  // namespace moebius
