#include "sampling/token_table.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace moebius {

TokenTable::TokenTable(std::vector<std::string> bytes, std::vector<int32_t> end_of_generation_ids)
    : bytes_(std::move(bytes)), end_of_generation_ids_(std::move(end_of_generation_ids)) {
  std::sort(end_of_generation_ids_.begin(), end_of_generation_ids_.end());
  for (const int32_t id : end_of_generation_ids_)
    if (id < 0 || id >= vocab_size())
      throw Error(ErrorCode::kBadRequest,
                  format_text("end-of-generation id %d is outside the vocabulary of %d tokens", id, vocab_size()));
  for (int32_t id = 0; id < vocab_size(); ++id)
    if (!this->bytes(id).empty()) sorted_ids_.push_back(id);
  std::sort(sorted_ids_.begin(), sorted_ids_.end(), [&](int32_t a, int32_t b) {
    const int order = this->bytes(a).compare(this->bytes(b));
    return order != 0 ? order < 0 : a < b;
  });
  common_prefix_.resize(sorted_ids_.size());
  for (size_t i = 1; i < sorted_ids_.size(); ++i) {
    const std::string_view a = this->bytes(sorted_ids_[i - 1]), b = this->bytes(sorted_ids_[i]);
    common_prefix_[i] = static_cast<uint32_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
  }
}

}  // namespace moebius
