"""Draw the conclusions: from the logs to tables, figures and a report."""

from gridstudy.cli.analyse import main
from gridstudy.cli.command_line import end

if __name__ == "__main__":
    end(main())
