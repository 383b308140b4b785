import sys

from grpo_cli.main import main

sys.exit(main())
