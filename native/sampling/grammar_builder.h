// Puts a compiled Grammar together rule by rule; the parser's back end.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "sampling/code_points.h"
#include "sampling/grammar.h"

namespace moebius {

class GrammarBuilder {
 public:
  using Sequence = std::vector<Grammar::Element>;  // without kEnd

  explicit GrammarBuilder(GrammarLimits limits) : limits_(limits) {}

  // A rule without alternatives yet; name may be empty.
  uint32_t add_rule(std::string name);
  // Throws Error(kGrammar) when the grammar grows beyond its limit.
  void add_alternative(uint32_t rule, const Sequence& sequence);

  static Grammar::Element rule_element(uint32_t rule) { return {Grammar::Kind::kRule, rule}; }
  // One element that matches a character of the set.
  Grammar::Element character(const CodePointSet& set);
  // The UTF-8 bytes of one character, in order.
  void append_literal(uint32_t code_point, Sequence& out);
  // item{least,most}; most < 0 means no limit. item is empty or what one operand stands for.
  Sequence repeat(const Sequence& item, size_t least, int64_t most);

  // Checks left recursion and finishes. Rules are named by name_of for messages.
  std::shared_ptr<const Grammar> finish(uint32_t root);

 private:
  uint32_t byte_set(const Grammar::ByteSet& set);
  Grammar::Element bytes_element(uint8_t first, uint8_t last);
  uint32_t single_rule(const Sequence& item);
  void count_elements(size_t n);
  void check_left_recursion() const;
  std::vector<bool> nullable_rules() const;
  void make_byte_classes();
  std::string name_of(uint32_t rule) const;

  GrammarLimits limits_;
  Grammar grammar_;
  size_t n_elements_ = 0;
  std::vector<std::vector<Sequence>> alternatives_;  // [n_rules]
  std::unordered_map<std::string, uint32_t> byte_set_indices_;
  std::map<std::vector<std::pair<uint32_t, uint32_t>>, uint32_t> character_rules_;
};

}  // namespace moebius
