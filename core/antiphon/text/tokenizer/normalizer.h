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
  // `prefixed` false: the text continues other text, so that Prepend adds nothing. Config error if the text grows
  // beyond 16 times its size plus 1 KiB: NFKD's longest, U+FDFA with its spaces replaced, grows 13 times.
  std::string operator()(std::string_view text, bool prefixed = true) const;
  bool empty() const { return steps_.empty(); }

 private:
  void add(const nlohmann::json& description, const std::string& where, int depth);
  struct Step {
    std::function<std::string(std::string text, size_t most)> run;  // at most `most` bytes
    bool prefixes = false;
  };
  std::string where_;
  std::vector<Step> steps_;
};

}  // namespace antiphon::text
