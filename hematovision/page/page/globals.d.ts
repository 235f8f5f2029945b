declare const LiteRt: any;
