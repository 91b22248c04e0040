// The normalizers of tokenizer.json: null, NFC, NFD, NFKC, NFKD, Lowercase, Replace, Prepend, Sequence.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace antiphon::text {

class Normalizer {
 public:
  Normalizer() = default;
  // Config error, naming `where`, for any other type.
  Normalizer(const nlohmann::json& description, const std::string& where);
  // `prefixed` false: the text goes on after other text, so that Prepend adds nothing.
  std::string operator()(std::string_view text, bool prefixed = true) const;
  bool empty() const { return steps_.empty(); }

 private:
  void add(const nlohmann::json& description, const std::string& where, int depth);
  struct Step {
    std::function<std::string(std::string)> run;
    bool prefixes = false;
  };
  std::vector<Step> steps_;
};

}  // namespace antiphon::text
