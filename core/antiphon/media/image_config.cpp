// preprocessor_config.json -> ImageProcessing.
#include <fmt/format.h>

#include <antiphon/media/image_processor.h>

#include <cmath>

namespace antiphon::media {
namespace {

// json[key], or `otherwise` where it is absent or null.
template <class T>
T taken(const nlohmann::json& json, const char* key, T otherwise) {
  take(json, key, otherwise);
  return otherwise;
}

// Sizes are numbers in old files, tables in newer ones.
nlohmann::json table_of(const nlohmann::json& json, const char* key, const char* number_means) {
  const auto it = json.find(key);
  if (it == json.end() || it->is_null()) return nullptr;
  if (!it->is_number_integer()) return *it;
  if (std::string(number_means) == "square") return {{"height", *it}, {"width", *it}};
  return {{number_means, *it}};
}

// One edge of a square given as {"height", "width"}.
int64_t square_edge(const nlohmann::json& size, const char* key, const std::string& plugin) {
  const auto height = taken<int64_t>(size, "height", 0), width = taken<int64_t>(size, "width", 0);
  if (height != width || height <= 0)
    fail(ErrorKind::weights, fmt::format("preprocessor_config.json has a {} of {} x {}; the plugin {} makes squares",
                                         key, height, width, plugin));
  return height;
}

// Steps that this processor always takes, and takes as they are.
void check_steps(const nlohmann::json& json, const std::string& plugin) {
  for (const char* key : {"do_resize", "do_rescale", "do_normalize"})
    if (!taken(json, key, true))
      fail(ErrorKind::weights,
           fmt::format("preprocessor_config.json has {} = false, which the plugin {} does not support", key, plugin));
  if (const double factor = taken(json, "rescale_factor", 1.0 / 255.0); std::abs(factor * 255.0 - 1.0) > 1e-6)
    fail(ErrorKind::weights,
         fmt::format("preprocessor_config.json has rescale_factor = {}; the plugin {} divides by 255", factor, plugin));
  if (!json.contains("image_grid_pinpoints") && taken(json, "do_pad", false))
    fail(ErrorKind::weights,
         fmt::format("preprocessor_config.json has do_pad = true, which the plugin {} does not read", plugin),
         "remove the key and set fit = \"pad\" (white) in the configuration, if that is meant");
}

void read_fit(const nlohmann::json& json, const std::string& plugin, ImageProcessing& o) {
  const auto size = table_of(json, "size", "shortest_edge"), crop = table_of(json, "crop_size", "square");
  const bool crops = taken(json, "do_center_crop", crop.is_object());
  if (size.is_object() && size.contains("height")) {
    o.fit = "stretch", o.input_size = square_edge(size, "size", plugin);
    if (crops)
      fail(ErrorKind::weights,
           fmt::format(
               "preprocessor_config.json stretches the picture to a square and then crops it, which the plugin {} "
               "does not support",
               plugin));
  } else if (size.is_object()) {
    o.fit = "crop";
    take(size, "shortest_edge", o.shortest_edge);
    if (!crops)
      fail(ErrorKind::weights,
           fmt::format("preprocessor_config.json keeps the picture's shape (do_center_crop = false); "
                       "the plugin {} makes squares",
                       plugin));
  }
  if (crops && crop.is_object()) o.input_size = square_edge(crop, "crop_size", plugin);
}

void read_tiles(const nlohmann::json& json, const std::string& plugin, ImageProcessing& o) {
  std::vector<std::vector<int64_t>> pinpoints;
  take(json, "image_grid_pinpoints", pinpoints);
  if (pinpoints.empty()) return;
  if (o.fit == "crop" && o.shortest_edge != o.input_size)
    fail(
        ErrorKind::weights,
        fmt::format("preprocessor_config.json brings tiles to a shorter edge of {} and crops {} of them; the plugin {} "
                    "takes whole tiles",
                    o.shortest_edge, o.input_size, plugin));
  o.tile_resolutions.clear();
  for (const auto& size : pinpoints) {
    if (size.size() != 2) fail(ErrorKind::weights, "image_grid_pinpoints must hold pairs of height and width");
    o.tile_resolutions.push_back(fmt::format("{}x{}", size[0], size[1]));
  }
}

}  // namespace

void read_image_processing(const nlohmann::json& json, const std::string& plugin, ImageProcessing& o) {
  if (json.is_null()) return;
  check_steps(json, plugin);
  read_fit(json, plugin, o);
  take(json, "resample", o.resample);
  take(json, "image_mean", o.mean);
  take(json, "image_std", o.std);
  read_tiles(json, plugin, o);
}

}  // namespace antiphon::media
