#!/usr/bin/env python
"""Django's command line: `manage.py help` lists the commands, `manage.py help NAME` explains one."""

import os
import sys


def main() -> None:
    """Run one management command; a mistake in the configuration is one sentence, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        settings._setup()
    except ImproperlyConfigured as wrong:
        sys.exit(f"Not configured: {wrong}")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
