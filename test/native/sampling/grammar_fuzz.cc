// Fuzzes grammar text, JSON schemas and the matcher: the first byte chooses, a zero byte
// separates the grammar from the text run through it. Nothing but Error may be thrown, and a
// schema's grammar must always parse unless it is left-recursive or too large.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "sampling/grammar.h"
#include "sampling/json.h"

namespace {

std::shared_ptr<const moebius::TokenTable> byte_tokens() {
  std::vector<std::string> bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.emplace_back(1, static_cast<char>(byte));
  bytes.emplace_back("");
  return std::make_shared<const moebius::TokenTable>(std::move(bytes), std::vector<int32_t>{256});
}

void run_grammar(std::string_view gbnf, std::string_view text) {
  moebius::GrammarLimits limits;
  limits.max_elements = 20000;
  const auto grammar = moebius::Grammar::parse(gbnf, limits);
  static const auto table = byte_tokens();
  const auto constraint = moebius::make_grammar_constraint(grammar, table);
  std::vector<float> logits(257);
  for (const char c : text.substr(0, 64)) {
    std::fill(logits.begin(), logits.end(), 0.0f);
    constraint->mask(logits);
    const int32_t id = static_cast<uint8_t>(c);
    if ((logits[static_cast<size_t>(id)] == 0) != constraint->allows(id)) std::abort();
    constraint->accept(id);
  }
  if (constraint->is_complete() != moebius::grammar_accepts(grammar, text.substr(0, 64))) std::abort();
}

void run_schema(std::string_view schema, std::string_view text) {
  const std::string gbnf = moebius::json_schema_to_grammar(schema);
  try {
    run_grammar(gbnf, text);
  } catch (const moebius::Error& error) {
    // "grammar LINE:COLUMN: ..." is a syntax error, which the converter must not make.
    const std::string_view message = error.what();
    if (message.starts_with("grammar ") && message.size() > 8 && message[8] >= '0' && message[8] <= '9' &&
        message.find("larger than") == std::string_view::npos)
      std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view all(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t split = all.find('\0');
  const std::string_view first = all.substr(0, split);
  const std::string_view second = split == std::string_view::npos ? std::string_view() : all.substr(split + 1);
  try {
    if (data[0] & 1) run_schema(first, second);
    else run_grammar(first, second);
  } catch (const moebius::Error&) {
  }
  return 0;
}
