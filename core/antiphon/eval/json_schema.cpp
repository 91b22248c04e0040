#include <antiphon/eval/json_schema.h>

#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/text/rewrite.h>

#include <algorithm>
#include <cmath>

namespace antiphon::eval {
namespace {

using nlohmann::json;

constexpr int kDeepest = 128;
constexpr int64_t kMostSteps = 100'000;  // a schema that refers to itself would take for ever

bool is_whole(const json& value) {
  return value.is_number_integer() || (value.is_number() && value.get<double>() == std::floor(value.get<double>()));
}

bool is_type(const json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "number") return value.is_number();
  return type == "integer" ? is_whole(value) : true;
}

bool of_a_type(const json& value, const json& types) {
  if (types.is_string()) return is_type(value, types.get<std::string>());
  return !types.is_array() ||
         std::ranges::any_of(types, [&](const json& type) { return type.is_string() && is_type(value, type); });
}

// As re.search; false for what is not a regular expression, or takes too long.
bool is_found(const std::string& pattern, const std::string& text) try {
  return text::Rewrite(pattern, "").matches(text);
} catch (const Error&) {
  return false;
}

bool divides(double step, double value) {
  const double times = value / step;
  return std::isfinite(times) && times == std::trunc(times);
}

class Check {
 public:
  explicit Check(const json& root) : root_(root) {}

  bool conforms(const json& value, const json& schema, int depth) const {
    if (schema.is_boolean()) return schema.get<bool>();
    if (!schema.is_object()) return true;
    if (depth > kDeepest || ++steps_ > kMostSteps) return false;
    const Place at{value, schema, depth};
    return itself(at) && combined(at) && referred(at) && (!value.is_number() || number(at)) &&
           (!value.is_string() || text(at)) && (!value.is_array() || array(at)) && (!value.is_object() || object(at));
  }

 private:
  struct Place {
    const json& value;
    const json& schema;
    int depth;

    const json* find(const char* key) const {
      const auto found = schema.find(key);
      return found == schema.end() ? nullptr : &*found;
    }
    // The measure against a number of the schema; true without it.
    template <class Compare>
    bool holds(const char* key, double measure, Compare compare) const {
      const auto* bound = find(key);
      return !bound || !bound->is_number() || compare(measure, bound->get<double>());
    }
    bool within(const char* least, const char* most, size_t count) const {
      const auto measure = static_cast<double>(count);
      return holds(least, measure, std::greater_equal()) && holds(most, measure, std::less_equal());
    }
  };

  bool fits(const json& value, const json& schema, const Place& from) const {
    return conforms(value, schema, from.depth + 1);
  }

  bool itself(const Place& at) const {
    if (const auto* types = at.find("type"); types && !of_a_type(at.value, *types)) return false;
    if (const auto* only = at.find("const"); only && at.value != *only) return false;
    const auto* values = at.find("enum");
    return !values || !values->is_array() || std::ranges::find(*values, at.value) != values->end();
  }

  int64_t count_fitting(const char* key, const Place& at) const {
    return std::ranges::count_if(*at.find(key), [&](const json& one) { return fits(at.value, one, at); });
  }

  bool combined(const Place& at) const {
    const auto is_list = [&](const char* key) { return at.find(key) && at.find(key)->is_array(); };
    if (is_list("allOf") && count_fitting("allOf", at) != std::ssize(*at.find("allOf"))) return false;
    if (is_list("anyOf") && count_fitting("anyOf", at) == 0) return false;
    if (is_list("oneOf") && count_fitting("oneOf", at) != 1) return false;
    if (const auto* none = at.find("not"); none && fits(at.value, *none, at)) return false;
    const auto* condition = at.find("if");
    if (!condition) return true;
    const auto* then = at.find(fits(at.value, *condition, at) ? "then" : "else");
    return !then || fits(at.value, *then, at);
  }

  // "#/$defs/point" within the whole schema.
  bool referred(const Place& at) const {
    const auto* reference = at.find("$ref");
    if (!reference) return true;
    if (!reference->is_string()) return false;
    const auto& path = reference->get_ref<const std::string&>();
    if (!path.starts_with("#")) return false;
    try {
      const json::json_pointer pointer(path.substr(1));
      return root_.contains(pointer) && fits(at.value, root_.at(pointer), at);
    } catch (const json::exception&) {
      return false;
    }
  }

  static bool number(const Place& at) {
    const double value = at.value.get<double>();
    const auto* step = at.find("multipleOf");
    return at.holds("minimum", value, std::greater_equal()) && at.holds("maximum", value, std::less_equal()) &&
           at.holds("exclusiveMinimum", value, std::greater()) && at.holds("exclusiveMaximum", value, std::less()) &&
           (!step || !step->is_number() || divides(step->get<double>(), value));
  }

  static bool text(const Place& at) {
    const auto& text = at.value.get_ref<const std::string&>();
    const auto letters =
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
    const auto* pattern = at.find("pattern");
    return at.within("minLength", "maxLength", static_cast<size_t>(letters)) &&
           (!pattern || !pattern->is_string() || is_found(pattern->get<std::string>(), text));
  }

  bool array(const Place& at) const {
    if (!at.within("minItems", "maxItems", at.value.size())) return false;
    const auto* first = at.find("prefixItems");
    const size_t prefix = first && first->is_array() ? std::min(first->size(), at.value.size()) : 0;
    for (size_t i = 0; i < prefix; ++i)
      if (!fits(at.value[i], (*first)[i], at)) return false;
    if (const auto* rest = at.find("items"))
      for (size_t i = prefix; i < at.value.size(); ++i)
        if (!fits(at.value[i], *rest, at)) return false;
    return contains(at) && (at.schema.value("uniqueItems", json(false)) != true || all_differ(at.value));
  }

  bool contains(const Place& at) const {
    const auto* wanted = at.find("contains");
    if (!wanted) return true;
    const auto count =
        static_cast<double>(std::ranges::count_if(at.value, [&](const json& one) { return fits(one, *wanted, at); }));
    return (at.find("minContains") ? at.holds("minContains", count, std::greater_equal()) : count > 0) &&
           at.holds("maxContains", count, std::less_equal());
  }

  static bool all_differ(const json& values) {
    for (auto one = values.begin(); one != values.end(); ++one)
      if (std::find(std::next(one), values.end(), *one) != values.end()) return false;
    return true;
  }

  bool object(const Place& at) const {
    if (!at.within("minProperties", "maxProperties", at.value.size())) return false;
    if (const auto* names = at.find("required"); names && !has_all(at.value, *names)) return false;
    if (const auto* needed = at.find("dependentRequired"); needed && needed->is_object())
      for (const auto& [key, names] : needed->items())
        if (at.value.contains(key) && !has_all(at.value, names)) return false;
    if (const auto* schemas = at.find("dependentSchemas"); schemas && schemas->is_object())
      for (const auto& [key, schema] : schemas->items())
        if (at.value.contains(key) && !fits(at.value, schema, at)) return false;
    const auto* names = at.find("propertyNames");
    return std::ranges::all_of(at.value.items(), [&](const auto& member) {
      return (!names || fits(json(member.key()), *names, at)) && member_fits(member.key(), member.value(), at);
    });
  }

  static bool has_all(const json& value, const json& names) {
    return !names.is_array() || std::ranges::all_of(names, [&](const json& name) {
      return !name.is_string() || value.contains(name.get<std::string>());
    });
  }

  bool member_fits(const std::string& key, const json& value, const Place& at) const {
    bool known = false;
    if (const auto* schemas = at.find("properties"); schemas && schemas->is_object() && schemas->contains(key)) {
      known = true;
      if (!fits(value, (*schemas)[key], at)) return false;
    }
    if (const auto* patterns = at.find("patternProperties"); patterns && patterns->is_object())
      for (const auto& [pattern, schema] : patterns->items())
        if (is_found(pattern, key)) {
          known = true;
          if (!fits(value, schema, at)) return false;
        }
    const auto* others = at.find("additionalProperties");
    return known || !others || fits(value, *others, at);
  }

  const json& root_;
  mutable int64_t steps_ = 0;
};

}  // namespace

bool conforms(const json& value, const json& schema) { return Check(schema).conforms(value, schema, 0); }

}  // namespace antiphon::eval
