#include <antiphon/parallel/same_run.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/strings.h>

#include <charconv>

namespace antiphon::parallel {

int64_t hash_of(const std::string& text) {
  const auto hash = content_hash(text).substr(0, 16);
  uint64_t value = 0;
  std::from_chars(hash.data(), hash.data() + hash.size(), value, 16);
  return static_cast<int64_t>(value);
}

void check_same(comm::Group& group, const Facts& facts) {
  const auto n = static_cast<int64_t>(facts.size());
  std::vector<int64_t> own;
  for (const auto& [name, text] : facts) own.push_back(hash_of(text));
  const auto all = at::empty({group.size(), n}, at::kLong);
  group.gather(at::tensor(own, at::kLong), all);
  std::vector<std::string> others;
  for (int64_t rank = 1; rank < group.size(); ++rank)
    for (int64_t i = 0; i < n; ++i)
      if (!at::equal(all[rank][i], all[0][i]))
        others.push_back(fmt::format("process {} has another {}", rank, facts[static_cast<size_t>(i)].first));
  if (others.empty()) return;
  fail(ErrorKind::config, fmt::format("the processes differ from process 0: {}", join(others, "; ")),
       "start all of them with the same command, the same program and the same files");
}

}  // namespace antiphon::parallel
