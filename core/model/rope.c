#include "model/rope.h"

#include <math.h>

#define TWO_PI 6.28318530717958647692

static float scaled_linear(const struct model_config *config, float frequency)
{
    return frequency / (float)config->rope_factor;
}

static float scaled_llama3(const struct model_config *config, float frequency)
{
    const double length = (double)config->rope_original_positions;
    const double low = config->rope_low_freq_factor, high = config->rope_high_freq_factor;
    const float factor = (float)config->rope_factor, wavelength = (float)TWO_PI / frequency;
    float smooth;

    if (wavelength > (float)(length / low))
        return frequency / factor;
    if (wavelength < (float)(length / high))
        return frequency;
    smooth = ((float)length / wavelength - (float)low) / (float)(high - low);
    return (1.0f - smooth) * frequency / factor + smooth * frequency;
}

float rope_frequency(const struct model_config *config, int64_t i)
{
    const float exponent = (float)(2 * i) / (float)model_head_width(config);
    const float frequency = 1.0f / (float)pow(config->rope_theta, (double)exponent);

    switch (config->rope_scaling) {
    case ROPE_LINEAR:
        return scaled_linear(config, frequency);
    case ROPE_LLAMA3:
        return scaled_llama3(config, frequency);
    case ROPE_UNSCALED:
        break;
    }
    return frequency;
}

static void fill(const struct model_config *config, int64_t rows, double (*function)(double), float *table)
{
    const int64_t half = model_head_width(config) / 2;

    for (int64_t i = 0; i < half; i++) {
        const float frequency = rope_frequency(config, i);

        for (int64_t row = 0; row < rows; row++)
            table[row * half + i] = (float)function((double)((float)row * frequency));
    }
}

void rope_cosines(const struct model_config *config, int64_t rows, float *table)
{
    fill(config, rows, cos, table);
}

void rope_sines(const struct model_config *config, int64_t rows, float *table)
{
    fill(config, rows, sin, table);
}
