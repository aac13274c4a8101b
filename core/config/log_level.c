#include "base/log.h"
#include "config/config.h"

void config_set_log_level(const struct config *config)
{
    static const enum log_level levels[] = {[CONFIG_LEVEL_ERROR] = LOG_ERROR,
                                            [CONFIG_LEVEL_WARNING] = LOG_WARNING,
                                            [CONFIG_LEVEL_INFO] = LOG_INFO,
                                            [CONFIG_LEVEL_DEBUG] = LOG_DEBUG};

    log_set_level(levels[config->log.level]);
}
