DROP TABLE backup_figures;
