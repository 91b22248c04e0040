// Samples that no file holds, of the sizes that the options say: for measuring how fast a model trains where its data
// are not. Source of the idea: NeMo, nemo/collections/avlm/data/mock.py (MockDataModule).
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/shown.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include "made_up.h"

namespace antiphon::mock {
namespace {

const config::Table<Sizes>& mock_table() {
  static const auto* table = new config::Table<Sizes>(
      config::Table<Sizes>("mock")
          .field("samples", &Sizes::samples, "how many there are", {.min = 1, .max = 1e9})
          .field("question_words", &Sizes::question_words, "words of a question", {.min = 1, .max = 1e5})
          .field("answer_words", &Sizes::answer_words, "words of an answer", {.min = 1, .max = 1e5})
          .field("pictures", &Sizes::pictures, "pictures of a sample", {.min = 0, .max = 1000})
          .field("width", &Sizes::width, "pixels of a picture from left to right", {.min = 1, .max = 8192})
          .field("height", &Sizes::height, "pixels of a picture from top to bottom", {.min = 1, .max = 8192})
          .field("seconds", &Sizes::seconds, "length of a sample's sound; 0: it has none", {.min = 0, .max = 1800})
          .field("seed", &Sizes::seed, "of all that is made up", {.min = 0}));
  return *table;
}

// Whether nothing is there that could be meant instead: at most an empty file.
bool is_free(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (!std::filesystem::exists(status)) return true;
  return std::filesystem::is_regular_file(status) && std::filesystem::file_size(path, ignored) == 0;
}

}  // namespace

class Mock : public DataSource {
 public:
  explicit Mock(const Sizes& sizes) : sizes_(sizes) {}
  bool recognises(const FileStart& start) const override {
    return (start.path.filename() == "mock" || start.path.extension() == ".mock") && is_free(start.path);
  }
  std::unique_ptr<Records> open(const std::filesystem::path& path) const override {
    if (!recognises({path, {}}))
      fail(ErrorKind::data,
           fmt::format("the data source mock makes its samples up; expected path = \"mock\", or another name that "
                       "ends in .mock, and no file or folder of that name, got '{}'",
                       shown(path.string())),
           "write path = \"mock\", or name the source that reads this file");
    return std::make_unique<MadeUp>(sizes_, content_hash("mock 1 " + config::to_json(mock_table().dump(&sizes_), -1)));
  }

 private:
  Sizes sizes_;
};

}  // namespace antiphon::mock

ANTIPHON_PLUGIN(mock, "0.1.0") {
  using namespace antiphon::mock;
  antiphon::register_component<antiphon::DataSource, Mock>(
      registrar, "mock", "made-up samples of sizes that are said, without a file", mock_table());
}
