// What a rank will send in an optimizer step, before there are any ranks.
#pragma once

#include "train/memory_forecast.hpp"

namespace ferula {

/// The calling rank's elements and bytes by collective in one optimizer step, in the unit of TrafficLedger (`calls` and
/// `seconds` stay 0): gathers of values for the forward and the backward pass of each micro batch, gradients and
/// updated values. Without what is agreed on in single numbers, and without validation. See docs/numerics.md,
/// "Traffic".
TrafficCounts forecast_traffic(const TrainingShape& shape, Mesh& mesh);
/// Of its bytes, those of gathers in common memory, which move nothing.
std::int64_t forecast_unmoved_bytes(const TrainingShape& shape, Mesh& mesh);

}  // namespace ferula
