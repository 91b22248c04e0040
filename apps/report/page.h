// The page: one HTML file that loads nothing.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include <report/gallery.h>

namespace antiphon::apps::report {

// What the page shows of one or two runs, as its script reads it (page.js).
nlohmann::json page_data(std::vector<RunData>& runs, const GalleryOptions& options);

// The HTML text. The data stands in it as JSON without <, > and &, so that no text of a sample is markup.
std::string page(const nlohmann::json& data);

}  // namespace antiphon::apps::report
