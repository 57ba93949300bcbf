#include "engine/constraint.h"

#include "engine/model_state.h"
#include "sampling/grammar.h"

namespace moebius {

std::unique_ptr<TokenConstraint> grammar_constraint(const Model& model, const std::string& gbnf) {
  return make_grammar_constraint(Grammar::parse(gbnf), model.state().token_table);
}

std::unique_ptr<TokenConstraint> json_schema_constraint(const Model& model, const std::string& json_schema) {
  return grammar_constraint(model, json_schema_to_grammar(json_schema));
}

}  // namespace moebius
