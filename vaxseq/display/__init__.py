"""What people see: tables, HTML pieces and progress."""
