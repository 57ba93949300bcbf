// Grammars that constrain what a model may write. A Grammar is parsed once from GBNF text
// (llama.cpp's dialect) or from a JSON schema and shared read-only; a GrammarConstraint is
// one answer's place in it. Matching is by bytes: characters become UTF-8 sequences when the
// grammar is compiled, so tokens that end inside a character need no special care.
//
// GBNF:  name ::= alternatives     # comment
//   "literal"  [a-z]  [^a-z]  .  name  ( ... )  a b  a | b  x?  x*  x+  x{2}  x{2,}  x{2,5}
//   escapes: \n \r \t \\ \" \[ \] \xNN \uNNNN \UNNNNNNNN
// The rule called root is what the whole answer must match.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sampling/token_constraint.h"
#include "sampling/token_table.h"

namespace moebius {

struct GrammarLimits {
  size_t max_text_bytes = 1024 * 1024;
  size_t max_group_depth = 128;
  size_t max_repetitions = 10000;   // in x{m,n}
  size_t max_elements = 400000;     // of the compiled grammar
};

// A compiled grammar. Elements lie in one array; an alternative is a run of them up to kEnd.
class Grammar {
 public:
  enum class Kind : uint8_t { kEnd, kBytes, kRule };
  struct Element {
    Kind kind;
    uint32_t value;  // kBytes: index of a byte set; kRule: index of a rule
  };
  struct Rule {
    std::string name;                    // "" for rules made from groups and repetitions
    std::vector<uint32_t> alternatives;  // first elements
  };
  using ByteSet = std::bitset<256>;

  // Throws Error(kGrammar) with "line:column", also for undefined and left-recursive rules.
  static std::shared_ptr<const Grammar> parse(std::string_view gbnf, GrammarLimits limits = {});

  const std::vector<Element>& elements() const { return elements_; }
  const std::vector<Rule>& rules() const { return rules_; }
  const ByteSet& byte_set(uint32_t index) const { return byte_sets_[index]; }
  uint32_t root() const { return root_; }
  // Bytes that no byte set tells apart share a class.
  uint32_t n_byte_classes() const { return n_byte_classes_; }
  uint32_t byte_class(uint8_t byte) const { return byte_classes_[byte]; }
  // Some byte of the class.
  uint8_t class_example(uint32_t byte_class) const { return class_examples_[byte_class]; }

 private:
  friend class GrammarBuilder;
  std::vector<Element> elements_;
  std::vector<Rule> rules_;
  std::vector<ByteSet> byte_sets_;
  uint32_t root_ = 0;
  uint32_t n_byte_classes_ = 0;
  std::array<uint32_t, 256> byte_classes_{};
  std::vector<uint8_t> class_examples_;
};

// Whether text as a whole matches the grammar. For tests and for checking finished answers.
bool grammar_accepts(const std::shared_ptr<const Grammar>& grammar, std::string_view text);

// The constraint of one answer. End-of-generation tokens are allowed where the grammar may
// end; all other tokens by their bytes. Throws Error(kGrammar) while masking when a grammar
// is so ambiguous that it needs more than 5,000 parse states at once.
std::unique_ptr<TokenConstraint> make_grammar_constraint(std::shared_ptr<const Grammar> grammar,
                                                         std::shared_ptr<const TokenTable> tokens);

// GBNF text for a JSON schema (a subset of draft 2020-12). Supported: type, properties,
// required, additionalProperties, items, prefixItems, minItems, maxItems, minLength,
// maxLength, pattern, format (date, time, date-time, uuid), enum, const, anyOf, oneOf (as
// anyOf), allOf (merged), $ref within the document, true, and minimum, maximum,
// exclusiveMinimum, exclusiveMaximum (for numbers with whole values). Properties appear in the schema's order; an object with
// properties is closed unless additionalProperties says otherwise. Annotations are ignored;
// any other keyword throws Error(kGrammar) naming it and its place.
std::string json_schema_to_grammar(std::string_view schema_json);

// GBNF text for any JSON object, for answers that must be JSON without a schema.
std::string json_object_grammar();

}  // namespace moebius
