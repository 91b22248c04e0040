#include <antiphon/text/tokenizer/pattern_field.h>

#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>

namespace antiphon::text {

Pattern pattern_field(const JsonFields& fields) {
  const JsonFields pattern(fields.object("pattern"), fields.at("pattern"));
  pattern.only({"Regex", "String"});
  return with_context("reading " + fields.at("pattern"), [&] {
    return pattern.has("Regex") ? Pattern::regex(pattern.text("Regex")) : Pattern::literal(pattern.text("String"));
  });
}

}  // namespace antiphon::text
