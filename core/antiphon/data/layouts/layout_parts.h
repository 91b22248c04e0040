// What layouts share: what they hold of a sample, and what they cannot. Used by the layouts alone.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include <antiphon/data/layouts/layouts.h>

namespace antiphon::data {

// Error(data): the layout cannot hold `what`.
[[noreturn]] void refuse(const char* layout, const std::string& what);
// Error(data) for what only messages can hold, but for pieces of recordings. `tools`: calls of tools, too.
void check_plain(const char* layout, const Sample& sample, bool tools = true);
// Error(data) for single channels of recordings, which `layout` cannot name.
void check_channels(const Sample& sample, const char* layout);
// Error(data) for pieces and single channels of recordings, which `layout` cannot name.
void check_whole(const Sample& sample, const char* layout);

// Its id and tags.
nlohmann::ordered_json begun(const Sample& sample);
// "tools", if there are any: in tables as their JSON.
void put_tools(const Sample& sample, const Target& target, nlohmann::ordered_json& record);

// A sample that is recordings, a question behind them, and its answer.
struct SpokenQuestion {
  std::vector<size_t> recordings;  // their indices in Sample::media
  std::string question, answer;
};
// Nothing if the turns are anything else. `begin`: the turn that the question is.
std::optional<SpokenQuestion> spoken_question(const Sample& sample, size_t begin = 0);

}  // namespace antiphon::data
