// The tokenizer of a GGUF file, and the byte table the samplers share.
#pragma once

#include <memory>

#include "formats/gguf_model_file.h"
#include "sampling/token_table.h"
#include "tokenizer/tokenizer.h"

namespace moebius {

// Throws Error(kGguf, kUnsupported) naming the key.
std::unique_ptr<Tokenizer> load_tokenizer(const GgufMetadata& metadata);
std::shared_ptr<const TokenTable> make_token_table(const Tokenizer& tokenizer);

}  // namespace moebius
