#include <antiphon/media/image/processor_keys.h>

#include <cmath>

namespace antiphon::media {

const ForeignKeys& processor_keys() {
  static const auto* keys =
      new ForeignKeys{.fixed = {{"do_resize", {true}},
                                {"do_rescale", {true}},
                                {"do_normalize", {true}},
                                {"do_convert_rgb", {true}},
                                {"pad_size", {}}},
                      .other = {"rescale_factor", "size", "processor_class", "auto_map", "default_to_square",
                                "data_format", "input_data_format", "return_tensors", "device", "disable_grouping",
                                "backend", "_processor_class", "transformers_version"}};
  return *keys;
}

void check_rescaled(const JsonTable& json) {
  if (const double factor = json.number("rescale_factor", 1.0 / 255.0, 0, 1e6); std::abs(factor * 255.0 - 1.0) > 1e-6)
    json.refuse("rescale_factor", "1 / 255");
}

}  // namespace antiphon::media
